"""Routing: which method a request calls, what is checked in which order, headers of answers."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from pds.xrpc.call import ReadCall
from pds.xrpc.router import XrpcRouter
from tests.pds.conftest import Account, Pds, Reply

DESCRIBE = "com.atproto.server.describeServer"
SESSION = "com.atproto.server.getSession"
LIST = "com.atproto.repo.listRecords"
CREATE = "com.atproto.repo.createRecord"
DELETE_SESSION = "com.atproto.server.deleteSession"


async def request(pds: Pds, verb: str, nsid: str, **more: Any) -> Reply:
    return await pds.request(verb, f"/xrpc/{nsid}", **more)


# --- Methods and paths


@pytest.mark.parametrize(
    ("verb", "nsid", "message"),
    [
        ("GET", CREATE, "Incorrect HTTP method (GET) expected POST"),
        ("HEAD", CREATE, None),
        ("POST", DESCRIBE, "Incorrect HTTP method (POST) expected GET"),
        ("PUT", DESCRIBE, "XRPC requests only supports GET and POST"),
        ("DELETE", CREATE, "XRPC requests only supports GET and POST"),
        ("PATCH", "com.example.unknown", "XRPC requests only supports GET and POST"),
        ("GET", "", "invalid xrpc path"),
        ("GET", "/", "invalid xrpc path"),
        ("GET", "nope", "invalid xrpc path"),
        ("GET", "com.atproto.server.describeServer!", "invalid xrpc path"),
        ("POST", "com.atproto/server", "invalid xrpc path"),
        ("GET", "com.atproto.server.describeServer.x" * 20, "invalid xrpc path"),
    ],
)
async def test_wrong_methods_and_paths_are_refused(
    pds: Pds, verb: str, nsid: str, message: str | None
) -> None:
    reply = await request(pds, verb, nsid)
    assert reply.status == 400
    if message is not None:
        assert reply.json == {"error": "InvalidRequest", "message": message}


@pytest.mark.parametrize("verb", ["GET", "POST"])
@pytest.mark.parametrize("nsid", ["com.example.unknown", "com.atproto.server.describeserver"])
async def test_methods_that_are_not_served_are_for_other_services(
    pds: Pds, alice: Account, verb: str, nsid: str
) -> None:
    """Of which there are none here."""
    for headers in (None, alice.auth, {"Authorization": "nonsense"}):
        reply = await request(pds, verb, nsid, headers=headers)
        assert (reply.status, reply.json) == (
            400,
            {"error": "InvalidRequest", "message": f"No service configured for {nsid}"},
        )


@pytest.mark.parametrize("path", [f"{DESCRIBE}/", "com%2Eatproto.server.describeServer"])
async def test_other_spellings_of_a_path_are_understood(pds: Pds, path: str) -> None:
    reply = await request(pds, "GET", path)
    assert reply.status == 200


async def test_head_is_get_without_the_body(pds: Pds) -> None:
    got, head = await request(pds, "GET", DESCRIBE), await request(pds, "HEAD", DESCRIBE)
    assert (head.status, head.body) == (200, b"")
    for name in ("Content-Type", "Content-Length", "ETag"):
        assert head.headers[name] == got.headers[name]


async def test_a_head_that_is_refused_has_no_body_either(pds: Pds) -> None:
    reply = await request(pds, "HEAD", SESSION)
    assert (reply.status, reply.body) == (401, b"")


async def test_a_server_that_passes_nothing_on_refuses_methods_that_it_does_not_have(
    pds: Pds,
) -> None:
    app = web.Application()
    router = XrpcRouter(pds.ctx, partial(ReadCall, pds.ctx), ())
    app.router.add_route("*", "/xrpc/{nsid:.*}", router.handle)
    async with TestServer(app) as server:
        alone = replace(pds, url=str(server.make_url("/")).rstrip("/"))
        assert (await alone.get(DESCRIBE)).error == (501, "MethodNotImplemented")


# --- The order of checks


async def test_parameters_come_before_credentials_and_those_before_the_body(
    pds: Pds, alice: Account
) -> None:
    """A request with every defect is told of the first, then of the next."""
    bad_auth = {"Authorization": "Bearer nonsense"}
    reply = await pds.get("com.atproto.sync.getHead", bad_auth, did="nope")
    assert reply.error == (400, "InvalidRequest")
    reply = await pds.get("com.atproto.sync.getHead", bad_auth, did=alice.did)
    assert reply.error == (400, "InvalidToken")
    reply = await request(pds, "POST", CREATE, headers=bad_auth, data=b"{")
    assert reply.error == (400, "InvalidToken")
    reply = await request(pds, "POST", CREATE, headers=alice.auth, data=b"{")
    assert reply.error == (400, "InvalidRequest")


# --- Parameters


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("limit=0", "integer too small (minimum 1, got 0)"),
        ("limit=5000", "integer too big (maximum 100, got 5000)"),
        ("limit=abc", 'Expected integer value type (got "abc")'),
        ("limit=1.0", 'Expected integer value type (got "1.0")'),
        ("limit=1_0", 'Expected integer value type (got "1_0")'),
        ("limit=1&limit=2", "Expected integer value type (got [1, 2])"),
        ("reverse=maybe", 'Expected boolean value type (got "maybe")'),
        ("repo=xx", 'Invalid AT identifier (got "xx")'),
    ],
)
async def test_parameters_are_checked_against_the_lexicon(
    pds: Pds, query: str, message: str
) -> None:
    given = {"repo": "repo=alice.test", "collection": "collection=com.example.note"}
    given |= {query.partition("=")[0]: query}
    reply = await pds.request("GET", f"/xrpc/{LIST}?{'&'.join(given.values())}")
    expected = {"error": "InvalidRequest", "message": f"Invalid {LIST} params: {message}"}
    assert (reply.status, reply.json) == (400, expected)


async def test_missing_parameters_are_named(pds: Pds) -> None:
    reply = await request(pds, "GET", LIST)
    assert reply.json["message"].startswith(f'Invalid {LIST} params: Missing required key "repo"')


async def test_unknown_parameters_are_ignored(pds: Pds) -> None:
    assert (await pds.get(DESCRIBE, color="blue", limit="abc")).status == 200


@pytest.mark.parametrize("query", ["&&&", "%", "%ff=%fe", "=", "did=%00", "a" * 5_000])
async def test_odd_queries_do_no_harm(pds: Pds, query: str) -> None:
    reply = await pds.request("GET", f"/xrpc/{DESCRIBE}?{query}")
    assert reply.status == 200


async def test_the_number_of_parameters_is_bounded(pds: Pds) -> None:
    reply = await pds.request("GET", f"/xrpc/{DESCRIBE}?{'a=1&' * 1_001}")
    assert reply.error == (400, "InvalidRequest")


async def test_a_parameter_with_a_null_character_is_a_parameter(pds: Pds) -> None:
    reply = await pds.request(
        "GET", f"/xrpc/{LIST}?repo=alice.test&collection=com.example.note&cursor=%00"
    )
    assert reply.json["message"] == "Could not find repo: alice.test"


# --- Headers of every answer


async def test_every_answer_may_be_read_by_any_web_page(pds: Pds, alice: Account) -> None:
    replies = [
        await request(pds, "GET", DESCRIBE),
        await request(pds, "GET", SESSION),
        await request(pds, "GET", SESSION, headers=alice.auth),
        await request(pds, "GET", "com.example.unknown"),
        await request(pds, "PUT", "nope"),
        await request(pds, "GET", "_health"),
        await request(pds, "GET", f"com.atproto.sync.getRepo?did={alice.did}"),
        await pds.post(DELETE_SESSION, headers=alice.refresh_auth),
    ]
    assert [reply.headers.get("Access-Control-Allow-Origin") for reply in replies] == ["*"] * 8


async def test_answers_to_somebody_are_not_kept_by_shared_caches(pds: Pds, alice: Account) -> None:
    for reply in (
        await request(pds, "GET", SESSION),
        await request(pds, "GET", SESSION, headers=alice.auth),
        await request(pds, "GET", f"com.atproto.sync.getRepo?did={alice.did}"),
        await request(pds, "GET", f"com.atproto.sync.getLatestCommit?did={alice.did}"),
    ):
        assert reply.headers["Cache-Control"] == "private"
        assert "Authorization" in reply.headers["Vary"]
    public = await request(pds, "GET", DESCRIBE)
    assert "Cache-Control" not in public.headers
    assert public.headers["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize("path", [CREATE, DESCRIBE, "com.example.unknown", "nope", "_health", ""])
async def test_a_preflight_allows_everything(pds: Pds, path: str) -> None:
    asked = {
        "Origin": "https://app.example.com",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    reply = await request(pds, "OPTIONS", path, headers=asked)
    assert (reply.status, reply.body) == (204, b"")
    assert reply.headers["Access-Control-Allow-Origin"] == "*"
    assert reply.headers["Access-Control-Allow-Methods"] == "GET,HEAD,PUT,PATCH,POST,DELETE"
    assert reply.headers["Access-Control-Allow-Headers"] == "authorization,content-type"
    assert reply.headers["Access-Control-Max-Age"] == "86400"


async def test_json_is_declared_as_such(pds: Pds) -> None:
    for nsid in (DESCRIBE, SESSION):
        reply = await request(pds, "GET", nsid)
        assert reply.headers["Content-Type"] == "application/json; charset=utf-8"


async def test_an_answer_without_output_is_empty(pds: Pds, alice: Account) -> None:
    reply = await pds.post(DELETE_SESSION, headers=alice.refresh_auth)
    assert (reply.status, reply.body) == (200, b"")
    assert "Content-Type" not in reply.headers


# --- Entity tags and compression


async def test_an_unchanged_answer_is_not_sent_again(pds: Pds, alice: Account) -> None:
    first = await request(pds, "GET", DESCRIBE)
    tag = first.headers["ETag"]
    assert tag.startswith('W/"')
    for known in (tag, f'"other", {tag}', tag.removeprefix("W/"), "*"):
        again = await request(pds, "GET", DESCRIBE, headers={"If-None-Match": known})
        assert (again.status, again.body) == (304, b"")
        assert again.headers["ETag"] == tag
        assert again.headers["Access-Control-Allow-Origin"] == "*"
    other = await request(pds, "GET", DESCRIBE, headers={"If-None-Match": 'W/"other"'})
    assert (other.status, other.body) == (200, first.body)
    private = await request(pds, "GET", SESSION, headers=alice.auth)
    assert private.headers["ETag"] != tag


async def test_an_error_is_always_sent(pds: Pds) -> None:
    reply = await request(pds, "GET", SESSION, headers={"If-None-Match": "*"})
    assert reply.error == (401, "AuthMissing")
    assert "ETag" not in reply.headers


async def test_large_answers_are_compressed_for_who_can_read_it(pds: Pds, alice: Account) -> None:
    for number in range(8):
        await pds.post_text(alice, f"{number}" * 200)
    path = f"{LIST}?repo={alice.did}&collection=app.bsky.feed.post"
    plain = await request(pds, "GET", path, headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    for encoding in ("gzip", "deflate"):
        packed = await request(pds, "GET", path, headers={"Accept-Encoding": encoding})
        assert packed.headers["Content-Encoding"] == encoding
        assert packed.headers["Vary"] == "Accept-Encoding"
        assert packed.body == plain.body


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip, deflate, br", "gzip"),
        ("deflate;q=0.9, gzip;q=0.8", "deflate"),
        ("*", "gzip"),
        ("GZip;Q=0.5", "gzip"),
        ("gzip; q=0, deflate ; q=0.1", "deflate"),
        ("*;q=0, identity", None),
        ("gzip;q=0", None),
        ("zstd, br", None),
        ("", None),
        # None of it can be had, and this is no reason to refuse what was asked for.
        ("identity;q=0", None),
        ("gzip;q=nonsense", None),
    ],
)
async def test_answers_are_compressed_as_the_client_likes_it_best(
    pds: Pds, alice: Account, accepted: str, encoding: str | None
) -> None:
    await pds.create_record(alice, "com.example.note", {"text": "x" * 2_000})
    path = f"{LIST}?repo={alice.did}&collection=com.example.note"
    for path_ in (path, f"com.atproto.sync.getRepo?did={alice.did}"):
        reply = await request(pds, "GET", path_, headers={"Accept-Encoding": accepted})
        assert (reply.status, reply.headers.get("Content-Encoding")) == (200, encoding)


async def test_small_answers_are_compressed_only_for_who_refuses_others(pds: Pds) -> None:
    for accepted, encoding in (("gzip", None), ("gzip, *;q=0", "gzip")):
        reply = await request(pds, "GET", DESCRIBE, headers={"Accept-Encoding": accepted})
        assert (reply.status, reply.headers.get("Content-Encoding")) == (200, encoding)


async def test_one_connection_carries_many_requests(pds: Pds, alice: Account) -> None:
    """Also after refusals that leave a body unread."""
    for _ in range(3):
        large = await request(
            pds,
            "POST",
            "com.atproto.server.createSession",
            data=b"x" * 200_000,
            headers={"Content-Type": "application/json"},
        )
        assert large.status == 413
        assert (await request(pds, "GET", SESSION, headers=alice.auth)).status == 200
    replies = await asyncio.gather(*(request(pds, "GET", DESCRIBE) for _ in range(20)))
    assert {reply.status for reply in replies} == {200}
