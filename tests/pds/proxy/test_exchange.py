"""What goes up to a service, what comes back, and that nothing else does."""

from __future__ import annotations

import gzip
import json
import time
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from pds.accounts.scopes import SessionScope
from pds.proxy.upload import HELD_BYTES
from repo.syntax import Did
from tests.pds.conftest import Account, Pds
from tests.pds.raw_http import exchange
from tests.pds.upstream import APPVIEW_DID, Upstream

SEARCH = "app.bsky.actor.searchActors"
PATH = f"/xrpc/{SEARCH}"

AUTOMATIC = ["Accept", "Accept-Encoding", "User-Agent", "Content-Type"]


async def send(
    pds: Pds, account: Account, verb: str = "GET", query: str = "", data: Any = None, **headers: str
) -> aiohttp.ClientResponse:
    """Send a request with these headers alone; `Some_Name` becomes Some-Name."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with pds.http.request(
        verb,
        pds.url + PATH + query,
        headers={**account.auth, **named},
        data=data,
        skip_auto_headers=AUTOMATIC,
        auto_decompress=False,
        allow_redirects=False,
    ) as response:
        await response.read()
    return response


async def get_raw(pds: Pds, account: Account, path: str, headers: str = "") -> int:
    """The status of a GET whose `path` and `headers` are sent to the letter."""
    request = (
        f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {account.access_jwt}\r\n"
        f"{headers}Connection: close\r\n\r\n"
    )
    return (await exchange(pds, request.encode()))[0]


def sent(upstream: Upstream) -> dict[str, str]:
    """The headers that came, without those of the connection."""
    received = {name.lower(): value for name, value in upstream.last.headers.items()}
    assert received.pop("host") == upstream.url.removeprefix("http://")
    assert received.pop("authorization").startswith("Bearer ")
    return received


# --- Up


async def test_the_token_speaks_for_the_account(
    pds: Pds, alice: Account, appview: Upstream
) -> None:
    before = int(time.time())
    await send(pds, alice)
    claims = appview.last.token_of(pds, alice)
    assert list(claims) == ["iat", "iss", "aud", "exp", "lxm", "jti"]
    assert before <= claims["iat"] <= time.time()
    assert claims["exp"] == claims["iat"] + 60
    assert (claims["iss"], claims["aud"], claims["lxm"]) == (alice.did, APPVIEW_DID, SEARCH)
    assert alice.access_jwt not in str(appview.last.headers)


async def test_no_app_password_of_the_moderation_service_speaks_to_this_server(
    pds: Pds, alice: Account, appview: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By naming it as the service to pass a request on to: here the AppView stands for it."""
    monkeypatch.setattr(pds.ctx.service_auth, "_moderator_did", alice.did)
    monkeypatch.setattr(pds.ctx.service_auth, "_audiences", (APPVIEW_DID,))
    access = pds.ctx.session_tokens.create_access(Did(alice.did), SessionScope.APP_PASS)
    reply = await pds.get(SEARCH, {"Authorization": f"Bearer {access}"})
    assert reply.error == (401, "InvalidToken")
    assert appview.received == []
    assert (await pds.get(SEARCH, alice.auth)).status == 200


async def test_a_query_takes_the_headers_of_the_table_along_and_no_other(
    pds: Pds, alice: Account, appview: Upstream
) -> None:
    passed = {
        "Accept_Encoding": "gzip, br;q=0.5",
        "Accept_Language": "de, en",
        "Atproto_Accept_Labelers": "did:plc:x;redact",
        "X_Bsky_Topics": "knots",
        "X_Atproto_Thing": "1",
        "x_atproto_other": "2",
    }
    kept_back = {
        "Accept": "application/json",
        "Atproto_Proxy": "",
        "Content_Type": "text/plain",
        "Cookie": "a=b",
        "DPoP": "proof",
        "If_None_Match": "*",
        "Origin": "https://example.com",
        "Range": "bytes=0-1",
        "User_Agent": "me",
        "X_Atproto": "no prefix",
        "X_Forwarded_For": "192.0.2.1",
    }
    await send(pds, alice, **passed, **kept_back)
    assert sent(appview) == {
        name.replace("_", "-").lower(): value for name, value in passed.items()
    }


async def test_without_a_word_of_encodings_none_is_asked_for(
    pds: Pds, alice: Account, appview: Upstream
) -> None:
    await send(pds, alice)
    assert sent(appview) == {"accept-encoding": "identity"}


async def test_a_header_in_two_lines_is_one_list(
    pds: Pds, alice: Account, appview: Upstream
) -> None:
    twice = "Atproto-Accept-Labelers: did:plc:x\r\nAtproto-Accept-Labelers: did:plc:y\r\n"
    assert await get_raw(pds, alice, PATH, twice) == 200
    assert sent(appview)["atproto-accept-labelers"] == "did:plc:x, did:plc:y"


@pytest.mark.parametrize(
    "query", ["?q=a%20b+c&x=%zz&&=&q=2", "?q=%C3%A9%2F&cursor=a/b:c", "?q=%00%0d%0a", "/?a=1"]
)
async def test_path_and_query_go_on_as_they_are(
    pds: Pds, alice: Account, appview: Upstream, query: str
) -> None:
    assert await get_raw(pds, alice, PATH + query) == 200
    assert appview.last.path == PATH + query


@pytest.mark.parametrize(
    "path", [f"http://elsewhere.example.com{PATH}?a=1", f"/%78rpc{PATH[5:]}?a=1"]
)
async def test_odd_ways_to_write_a_path_lead_to_the_same(
    pds: Pds, alice: Account, appview: Upstream, path: str
) -> None:
    assert await get_raw(pds, alice, path) == 200
    assert appview.last.path == f"{PATH}?a=1"


async def test_a_procedure_takes_its_body_along(
    pds: Pds, alice: Account, appview: Upstream
) -> None:
    body = json.dumps({"a": "ü"}).encode()
    await send(pds, alice, "POST", data=body, Content_Type="application/json; charset=utf-8")
    assert (appview.last.method, appview.last.body) == ("POST", body)
    assert sent(appview) == {
        "accept-encoding": "identity",
        "content-type": "application/json; charset=utf-8",
        "content-length": str(len(body)),
    }


async def test_a_compressed_body_stays_compressed(
    pds: Pds, alice: Account, appview: Upstream
) -> None:
    for encoding, body in (("gzip", gzip.compress(b"{}")), ("br", b"\x0b\x01\x80{}\x03")):
        await send(
            pds,
            alice,
            "POST",
            data=body,
            Content_Type="application/json",
            Content_Encoding=encoding,
        )
        assert appview.last.body == body
        assert sent(appview)["content-encoding"] == encoding
        assert sent(appview)["content-length"] == str(len(body))


async def test_a_short_body_of_unknown_length_is_sent_as_a_whole(
    pds: Pds, alice: Account, appview: Upstream
) -> None:
    async def body() -> Any:
        yield b"first"
        yield b"second"

    await send(pds, alice, "POST", data=body(), Content_Type="text/plain")
    assert appview.last.body == b"firstsecond"
    assert sent(appview)["content-length"] == "11"
    assert "transfer-encoding" not in sent(appview)


async def test_a_long_body_of_unknown_length_is_sent_in_chunks(
    pds: Pds, alice: Account, appview: Upstream
) -> None:
    async def body() -> Any:
        yield b"first"
        yield b"x" * HELD_BYTES

    await send(pds, alice, "POST", data=body(), Content_Type="text/plain")
    assert appview.last.body == b"first" + b"x" * HELD_BYTES
    assert sent(appview)["transfer-encoding"] == "chunked"
    assert "content-length" not in sent(appview)


async def test_a_client_may_ask_before_it_sends_a_body(
    pds: Pds, alice: Account, appview: Upstream
) -> None:
    async with pds.http.post(
        pds.url + PATH, data=b"body", headers=alice.auth, expect100=True
    ) as response:
        assert response.status == 200
    assert appview.last.body == b"body"
    assert "expect" not in sent(appview)


@pytest.mark.parametrize("framing", ["", "Content-Length: 0\r\n", "Transfer-Encoding: chunked\r\n"])
async def test_a_procedure_may_have_no_body(
    pds: Pds, alice: Account, appview: Upstream, framing: str
) -> None:
    request = (
        f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {alice.access_jwt}\r\n"
        f"Connection: close\r\n{framing}\r\n" + ("0\r\n\r\n" if "chunked" in framing else "")
    )
    assert (await exchange(pds, request.encode()))[0] == 200
    assert (appview.last.method, appview.last.body) == ("POST", b"")
    assert "content-type" not in sent(appview)


async def test_the_body_of_a_query_stays_here(pds: Pds, alice: Account, appview: Upstream) -> None:
    reply = await pds.request("GET", PATH, headers=alice.auth, data=b"x" * 100_000)
    assert reply.status == 200
    assert appview.last.body == b""
    assert sent(appview).keys() <= {"accept-encoding", "accept"}
    # The connection is in order.
    assert (await pds.get(SEARCH, alice.auth)).status == 200


# --- Down


async def test_an_answer_brings_the_headers_of_the_table_and_no_other(
    pds: Pds, alice: Account, appview: Upstream
) -> None:
    passed = {
        "Content-Type": "application/json",
        "Content-Language": "de",
        "Atproto-Repo-Rev": "3kabcdefghijk",
        "Atproto-Content-Labelers": "did:plc:x",
        "Retry-After": "7",
    }
    kept_back = {
        "Access-Control-Allow-Origin": "https://example.com",
        "Cache-Control": "public, max-age=60",
        "ETag": '"x"',
        "Location": "/elsewhere",
        "Server": "upstream",
        "Set-Cookie": "a=b",
        "X-Secret": "1",
    }
    appview.answers_bytes(b'{"ok":true}', headers=passed | kept_back)
    response = await send(pds, alice)
    got = {name.lower(): value for name, value in response.headers.items()}
    assert (got.pop("date"), got.pop("server", "")) != ("", "upstream")
    assert got.pop("x-request-id")
    assert got == {
        **{name.lower(): value for name, value in passed.items()},
        "content-length": "11",
        "access-control-allow-origin": "*",
        "cache-control": "private",
        "vary": "Authorization, Accept-Encoding",
    }


async def test_a_compressed_answer_stays_compressed(
    pds: Pds, alice: Account, appview: Upstream
) -> None:
    packed = gzip.compress(b'{"a":1}')
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    for encoding, body in (("gzip", packed), ("br", b"\x0b\x01\x80{}\x03"), ("gzip", b"no gzip")):
        headers["Content-Encoding"] = encoding
        appview.answers_bytes(body, headers=headers)
        async with pds.http.get(
            pds.url + PATH, headers=alice.auth, auto_decompress=False
        ) as response:
            assert await response.read() == body
            assert response.headers["Content-Encoding"] == encoding
            assert response.headers["Content-Length"] == str(len(body))


async def test_head_asks_the_service_for_a_head(
    pds: Pds, alice: Account, appview: Upstream
) -> None:
    appview.answers_json({"a": 1}, Atproto_Repo_Rev="3k")
    reply = await pds.request("HEAD", PATH, headers=alice.auth)
    assert (reply.status, reply.body, appview.last.method) == (200, b"", "HEAD")
    assert reply.headers["Content-Length"] == "7"
    assert reply.headers["Atproto-Repo-Rev"] == "3k"
    appview.answers_json({"error": "X", "message": "y"}, status=404)
    refused = await pds.request("HEAD", PATH, headers=alice.auth)
    assert (refused.status, refused.body) == (404, b"")


@pytest.mark.parametrize("status", [200, 201, 204, 302, 304])
async def test_a_status_that_is_no_error_is_passed_on(
    pds: Pds, alice: Account, appview: Upstream, status: int
) -> None:
    appview.answers(lambda: web.Response(status=status, headers={"Location": "/x"}))
    response = await send(pds, alice)
    assert response.status == status
    assert "Location" not in response.headers
    assert len(appview.received) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 418, 429, 500, 501, 503, 599])
async def test_an_error_of_a_service_is_relayed(
    pds: Pds, alice: Account, appview: Upstream, status: int
) -> None:
    error = {"error": "TooLate", "message": "Come back tomorrow"}
    appview.answers_json({**error, "more": 1}, status=status, Retry_After="7", X_Secret="1")
    reply = await pds.get(SEARCH, alice.auth)
    # A 500 is not this server's own fault.
    assert reply.status == (502 if status == 500 else status)
    assert reply.json == error
    assert "Retry-After" not in reply.headers


DEFAULTS = {
    400: ("InvalidRequest", "Invalid Request"),
    401: ("AuthenticationRequired", "Authentication Required"),
    404: ("XRPCNotSupported", "XRPC Not Supported"),
    418: ("InvalidRequest", "Invalid Request"),
    429: ("RateLimitExceeded", "Rate Limit Exceeded"),
    500: ("UpstreamFailure", "Upstream Failure"),
    503: ("NotEnoughResources", "Not Enough Resources"),
    504: ("UpstreamTimeout", "Upstream Timeout"),
    599: ("UpstreamFailure", "Upstream Failure"),
}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"{nope",
        b"[]",
        b"5",
        b'{"error":5,"message":["x"]}',
        b"\xff",
        b" " * 300_000,
    ],
)
async def test_an_error_without_a_name_gets_that_of_its_status(
    pds: Pds, alice: Account, appview: Upstream, body: bytes
) -> None:
    for status, (name, message) in DEFAULTS.items():
        appview.answers_bytes(body, status=status)
        reply = await pds.get(SEARCH, alice.auth)
        assert reply.status == (502 if status == 500 else status)
        assert reply.json == {"error": name, "message": message}


async def test_a_compressed_error_is_understood(
    pds: Pds, alice: Account, appview: Upstream
) -> None:
    error = {"error": "TooLate", "message": "Come back tomorrow"}
    good = gzip.compress(json.dumps(error).encode())
    bomb = gzip.compress(b" " * 50_000_000)
    default = {"error": "InvalidRequest", "message": "Invalid Request"}
    for body, expected in ((good, error), (good[:20], default), (b"x", default), (bomb, default)):
        appview.answers_bytes(body, status=400, headers={"Content-Encoding": "gzip"})
        assert (await pds.get(SEARCH, alice.auth)).json == expected


async def test_one_connection_serves_many_requests(
    pds: Pds, alice: Account, appview: Upstream
) -> None:
    peers = set()

    async def answer(request: web.Request) -> web.Response:
        peers.add(request.transport.get_extra_info("peername") if request.transport else None)
        return web.Response(status=400 if len(appview.received) % 2 else 200, body=b"{}")

    appview.answer = answer
    for _ in range(5):
        await pds.get(SEARCH, alice.auth)
        await pds.request("POST", PATH, headers=alice.auth, data=b"x")
    assert len(appview.received) == 10
    assert len(peers) == 1


async def test_requests_share_a_token(pds: Pds, alice: Account, appview: Upstream) -> None:
    for nsid in ("app.bsky.feed.searchPosts", "app.bsky.feed.searchPosts", "com.example.other"):
        assert (await pds.get(nsid, alice.auth)).status == 200
    first, second, third = [one.headers["Authorization"] for one in appview.received]
    assert first == second
    assert third != first
