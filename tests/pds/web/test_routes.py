"""What is served outside XRPC."""

from __future__ import annotations

import pytest

from pds.monitoring.requests.client_address import ClientAddresses
from tests.pds.conftest import Account, Pds, Reply
from tests.pds.raw_http import exchange

DID_PATH = "/.well-known/atproto-did"


async def get(pds: Pds, path: str, host: str | None = None, **params: str) -> Reply:
    headers = {} if host is None else {"Host": host}
    return await pds.request("GET", path, headers=headers, params=params)


# --- Pages


async def test_the_front_page_says_what_this_is(pds: Pds) -> None:
    reply = await get(pds, "/")
    assert reply.status == 200
    assert reply.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert b"AT Protocol" in reply.body
    assert b"/xrpc/" in reply.body


async def test_crawlers_are_welcome(pds: Pds) -> None:
    reply = await get(pds, "/robots.txt")
    assert reply.status == 200
    assert reply.body.decode().splitlines()[-2:] == ["User-agent: *", "Allow: /"]


async def test_changing_a_password_leads_to_the_account_page(pds: Pds) -> None:
    async with pds.http.get(
        f"{pds.url}/.well-known/change-password", allow_redirects=False
    ) as response:
        assert response.status == 302
        assert response.headers["Location"] == (
            f"{pds.ctx.settings.public_url}/account/reset-password"
        )


@pytest.mark.parametrize("verb", ["GET", "POST", "DELETE"])
async def test_other_paths_are_not_found(pds: Pds, verb: str) -> None:
    reply = await pds.request(verb, "/nothing/here")
    assert reply.status == 404
    assert reply.headers["Content-Type"] == "text/html; charset=utf-8"
    assert reply.headers["Content-Security-Policy"] == "default-src 'none'"
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert f"Cannot {verb} /nothing/here".encode() in reply.body


async def test_a_path_is_not_run_by_a_browser(pds: Pds) -> None:
    reply = await get(pds, "/<script>alert(1)</script>")
    assert reply.status == 404
    assert b"<script>" not in reply.body


async def test_the_did_document_of_the_server_is_served_elsewhere(pds: Pds) -> None:
    assert (await get(pds, "/.well-known/did.json")).status == 404


@pytest.mark.parametrize(
    "path", ["/", "/robots.txt", DID_PATH, "/tls-check", "/nothing", "/xrpc/_health"]
)
async def test_any_web_page_may_read_any_route(pds: Pds, path: str) -> None:
    reply = await get(pds, path)
    assert reply.headers["Access-Control-Allow-Origin"] == "*"
    asked = {"Origin": "https://app.example.com", "Access-Control-Request-Headers": "x-one"}
    preflight = await pds.request("OPTIONS", path, headers=asked)
    assert (preflight.status, preflight.body) == (204, b"")
    assert preflight.headers["Access-Control-Allow-Headers"] == "x-one"


@pytest.mark.parametrize("path", ["/", "/robots.txt", "/xrpc/_health"])
async def test_head_is_get_without_the_body(pds: Pds, path: str) -> None:
    got, head = await get(pds, path), await pds.request("HEAD", path)
    assert (head.status, head.body) == (got.status, b"")
    assert head.headers["Content-Length"] == str(len(got.body))


# --- Whose handle a host is


async def test_the_host_of_a_handle_names_its_did(pds: Pds, alice: Account) -> None:
    for host in ("alice.test", "ALICE.test", "alice.test:8443"):
        reply = await get(pds, DID_PATH, host)
        assert (reply.status, reply.body.decode()) == (200, alice.did)
        assert reply.headers["Content-Type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    "host", ["nobody.test", "test", "localhost", "alice.example.com", "x.alice.test", "[::1]:80"]
)
@pytest.mark.usefixtures("alice")
async def test_other_hosts_name_nobody(pds: Pds, host: str) -> None:
    reply = await get(pds, DID_PATH, host)
    assert (reply.status, reply.body) == (404, b"User not found")


@pytest.mark.parametrize(
    ("forwarded", "names_alice"),
    [
        ("alice.test", True),
        ("ALICE.test:443", True),
        ("alice.test, proxy.example.com", True),
        ("proxy.example.com, alice.test", False),
        ("", False),
    ],
)
async def test_a_proxy_near_the_server_says_which_host_was_asked_for(
    pds: Pds, alice: Account, forwarded: str, names_alice: bool
) -> None:
    headers = {"Host": "pds.internal:3000", "X-Forwarded-Host": forwarded}
    reply = await pds.request("GET", DID_PATH, headers=headers)
    assert (reply.status, reply.body.decode()) == (
        (200, alice.did) if names_alice else (404, "User not found")
    )


async def test_anyone_else_is_not_believed_what_host_was_asked_for(
    pds: Pds, alice: Account
) -> None:
    pds.ctx.client_addresses = ClientAddresses(())
    for host, status in (("nobody.test", 404), ("alice.test", 200)):
        headers = {"Host": host, "X-Forwarded-Host": "alice.test"}
        assert (await pds.request("GET", DID_PATH, headers=headers)).status == status
    headers = {"Host": alice.handle, "X-Forwarded-Host": "nobody.test"}
    assert (await pds.request("GET", DID_PATH, headers=headers)).status == 200


async def test_a_request_without_a_host_names_nobody(
    pds: Pds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And does not make the server look its own name up, which would block it."""

    def refuse() -> str:
        raise AssertionError("looked up")

    monkeypatch.setattr("socket.getfqdn", refuse)
    status, _ = await exchange(pds, f"GET {DID_PATH} HTTP/1.0\r\n\r\n".encode())
    assert status == 404


async def test_an_external_handle_is_not_answered_for(pds: Pds, alice: Account) -> None:
    db = pds.ctx.accounts.db
    with db.transaction():
        db.run("UPDATE actor SET handle = 'alice.example.com' WHERE did = ?", (alice.did,))
    assert (await get(pds, DID_PATH, "alice.example.com")).status == 404


async def test_a_failing_database_is_told_apart_from_an_unknown_handle(pds: Pds) -> None:
    pds.ctx.accounts.db.close()
    reply = await get(pds, DID_PATH, "alice.test")
    assert (reply.status, reply.body) == (500, b"Internal Server Error")
    checked = await get(pds, "/tls-check", domain="alice.test")
    assert checked.json == {"error": "InternalServerError", "message": "Internal Server Error"}
    assert checked.status == 500


# --- Certificates


@pytest.mark.parametrize("domain", ["localhost", "LOCALHOST", "alice.test", "Alice.Test"])
@pytest.mark.usefixtures("alice")
async def test_certificates_are_for_the_server_and_its_handles(pds: Pds, domain: str) -> None:
    reply = await get(pds, "/tls-check", domain=domain)
    assert (reply.status, reply.json) == (200, {"success": True})


@pytest.mark.parametrize(
    ("domain", "status", "error", "message"),
    [
        (None, 400, "InvalidRequest", "bad or missing domain query param"),
        ("", 400, "InvalidRequest", "bad or missing domain query param"),
        ("example.com", 400, "InvalidRequest", "handles are not provided on this domain"),
        (
            "alice.test.example.com",
            400,
            "InvalidRequest",
            "handles are not provided on this domain",
        ),
        ("nobody.test", 404, "NotFound", "handle not found for this domain"),
        (".test", 404, "NotFound", "handle not found for this domain"),
        ("did:plc:x.test", 404, "NotFound", "handle not found for this domain"),
    ],
)
@pytest.mark.usefixtures("alice")
async def test_certificates_are_for_nothing_else(
    pds: Pds, domain: str | None, status: int, error: str, message: str
) -> None:
    reply = await (
        get(pds, "/tls-check") if domain is None else get(pds, "/tls-check", domain=domain)
    )
    assert (reply.status, reply.json) == (status, {"error": error, "message": message})
