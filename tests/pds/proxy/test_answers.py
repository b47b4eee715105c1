"""Answers that are read before they are passed on, for handlers that may change them."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import web

from pds.api import METHODS
from pds.proxy.answers import UpstreamAnswer, fetch_json, relay
from pds.xrpc.auth import user
from pds.xrpc.call import Answer, XrpcCall
from pds.xrpc.errors import XrpcError
from pds.xrpc.methods import XrpcMethods
from pds.xrpc.oauth_demands import ANY
from tests.pds.conftest import Account, Pds, start_pds
from tests.pds.upstream import APPVIEW_DID, Hang, Upstream, hurry, register_service, via

TIMELINE = "app.bsky.feed.getTimeline"
PATH = f"/xrpc/{TIMELINE}"
LIMIT = 100_000


@pytest.fixture
def pds_environ(pds_environ: dict[str, str]) -> dict[str, str]:
    return {**pds_environ, "PDS_PROXY_MAX_RESPONSE_SIZE": str(LIMIT)}


class Handler:
    """A handler as read-after-write has them: keeps what came, passes it on, or `changes` it."""

    def __init__(self) -> None:
        self.answers: list[UpstreamAnswer] = []
        self.changes: Callable[[XrpcCall, UpstreamAnswer], Awaitable[Answer]] | None = None

    async def __call__(self, call: XrpcCall) -> Answer:
        answer = await fetch_json(call, nsid=TIMELINE)
        self.answers.append(answer)
        return relay(call, answer) if self.changes is None else await self.changes(call, answer)


@pytest.fixture
def handler() -> Handler:
    return Handler()


@pytest.fixture
def timeline(handler: Handler, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the server have a handler for one method of the AppView."""
    methods = XrpcMethods()
    methods.method(TIMELINE, auth=user(oauth=ANY))(handler)
    monkeypatch.setattr("pds.server.app.METHODS", (*METHODS, methods))


@pytest.fixture
async def pds(timeline: None, tmp_path: Path, pds_environ: dict[str, str]) -> AsyncIterator[Pds]:
    async with AsyncExitStack() as stack:
        yield await start_pds(stack, tmp_path, pds_environ)


async def test_the_request_goes_on_as_it_is(pds: Pds, alice: Account, appview: Upstream) -> None:
    headers = {**alice.auth, "Accept-Language": "de", "X-Atproto-Thing": "1", "Cookie": "a=b"}
    reply = await pds.request("GET", f"{PATH}?limit=5&x=a%20b", headers=headers)
    assert reply.json == {"ok": True}
    assert appview.last.path == f"{PATH}?limit=5&x=a%20b"
    assert appview.last.headers["Accept-Language"] == "de"
    assert appview.last.headers["X-Atproto-Thing"] == "1"
    assert "Cookie" not in appview.last.headers
    claims = appview.last.token_of(pds, alice)
    assert (claims["aud"], claims["lxm"]) == (APPVIEW_DID, TIMELINE)


async def test_the_answer_is_read(
    pds: Pds, alice: Account, appview: Upstream, handler: Handler
) -> None:
    appview.answers_json({"feed": []}, Atproto_Repo_Rev="3kabcdefghijk", X_Secret="1")
    reply = await pds.get(TIMELINE, alice.auth)
    (answer,) = handler.answers
    assert (answer.status, answer.json, answer.rev) == (200, {"feed": []}, "3kabcdefghijk")
    assert answer.error is None
    assert reply.headers["Atproto-Repo-Rev"] == "3kabcdefghijk"
    assert reply.headers["Cache-Control"] == "private"
    assert "X-Secret" not in reply.headers


async def test_a_handler_may_answer_something_else(
    pds: Pds, alice: Account, appview: Upstream, handler: Handler
) -> None:
    async def change(_: XrpcCall, answer: UpstreamAnswer) -> Answer:
        return {**answer.json, "more": 1}

    handler.changes = change
    assert (await pds.get(TIMELINE, alice.auth)).json == {"ok": True, "more": 1}


@pytest.mark.parametrize("prefers", [False, True])
async def test_a_compressed_answer_is_unpacked_and_packed_for_the_client(
    pds: Pds, alice: Account, appview: Upstream, handler: Handler, prefers: bool
) -> None:
    pds_proxy = pds.ctx.settings.proxy
    object.__setattr__(pds_proxy, "prefer_compressed", prefers)
    value = {"feed": ["x" * 5_000]}
    packed = gzip.compress(json.dumps(value).encode())
    appview.answers(
        lambda: web.Response(
            body=packed, headers={"Content-Encoding": "gzip", "Content-Type": "application/json"}
        )
    )
    for asked, encoding in (("identity", None), ("gzip", "gzip")):
        reply = await pds.get(TIMELINE, {**alice.auth, "Accept-Encoding": asked})
        assert (reply.json, handler.answers[-1].json) == (value, value)
        assert reply.headers.get("Content-Encoding") == encoding
        first = appview.last.headers["Accept-Encoding"].partition(",")[0]
        assert first == ("gzip" if prefers else "identity;q=1")


@pytest.mark.parametrize("body", [b"", b"<html>", b"{nope", b"\xff"])
async def test_what_is_no_json_is_passed_on(
    pds: Pds, alice: Account, appview: Upstream, handler: Handler, body: bytes
) -> None:
    appview.answers(lambda: web.Response(body=body, content_type="application/json"))
    async with pds.http.get(pds.url + PATH, headers=alice.auth) as response:
        assert (response.status, await response.read()) == (200, body)
    assert handler.answers[0].json is None


async def test_an_error_is_relayed_or_handled(
    pds: Pds, alice: Account, appview: Upstream, handler: Handler
) -> None:
    appview.answers_json({"error": "NotFound", "message": "No such post"}, status=400)
    reply = await pds.get(TIMELINE, alice.auth)
    assert (reply.status, reply.json) == (400, {"error": "NotFound", "message": "No such post"})
    (answer,) = handler.answers
    assert isinstance(answer.error, XrpcError)
    assert (answer.error.status, answer.error.name) == (400, "NotFound")

    async def forgive(_: XrpcCall, answer: UpstreamAnswer) -> Answer:
        return {"forgiven": answer.json["error"]}

    handler.changes = forgive
    assert (await pds.get(TIMELINE, alice.auth)).json == {"forgiven": "NotFound"}
    appview.answers_json({"error": "X"}, status=500)
    handler.changes = None
    assert (await pds.get(TIMELINE, alice.auth)).error == (502, "X")


async def test_head_has_the_answer_of_get_without_its_body(
    pds: Pds, alice: Account, appview: Upstream
) -> None:
    reply = await pds.request("HEAD", PATH, headers=alice.auth)
    assert (reply.status, reply.body, reply.headers["Content-Length"]) == (200, b"", "11")
    assert appview.last.method == "GET"


@pytest.mark.parametrize("packed", [False, True])
async def test_an_answer_that_is_too_large_is_not_read(
    pds: Pds, alice: Account, appview: Upstream, packed: bool
) -> None:
    headers = {"Content-Encoding": "gzip" if packed else "identity"}
    exact = b'"' + b"x" * (LIMIT - 2) + b'"'
    replies = []
    for body in (exact, exact + b" "):
        appview.answers_bytes(gzip.compress(body) if packed else body, headers=headers)
        replies.append(await pds.get(TIMELINE, alice.auth))
    taken, refused = replies
    assert (taken.status, refused.status) == (200, 502)
    assert refused.json["message"] == "The answer of the upstream service is too large"


async def test_a_service_that_keeps_silent_is_given_up(
    pds: Pds, alice: Account, appview: Upstream
) -> None:
    hang = Hang()

    async def stall(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"{")
        return await hang(request)

    hurry(pds)
    for answer in (hang, stall):
        hang.cancelled.clear()
        appview.answer = answer
        reply = await pds.get(TIMELINE, alice.auth)
        assert reply.json == {
            "error": "UpstreamFailure",
            "message": "Upstream service unreachable",
        }
        await hang.cancelled.wait()


async def test_damaged_compression_is_a_failure_of_the_service(
    pds: Pds, alice: Account, appview: Upstream
) -> None:
    appview.answers_bytes(b"no gzip at all", headers={"Content-Encoding": "gzip"})
    assert (await pds.get(TIMELINE, alice.auth)).error == (502, "UpstreamFailure")


async def test_the_named_service_is_asked(
    pds: Pds, alice: Account, appview: Upstream, other: Upstream
) -> None:
    did = register_service(pds, {"thing": other.url})
    assert (await pds.get(TIMELINE, {**alice.auth, **via(did, "thing")})).status == 200
    assert other.last.claims["aud"] == did
    reply = await pds.get(TIMELINE, {**alice.auth, "atproto-proxy": "foo"})
    assert reply.json["message"] == "no service id specified in proxy header"
    assert appview.received == []


async def test_an_answer_that_nobody_looks_into_is_not_parsed(
    pds: Pds, alice: Account, appview: Upstream, handler: Handler
) -> None:
    appview.answers_json({"feed": []})
    assert (await pds.get(TIMELINE, alice.auth)).json == {"feed": []}
    (answer,) = handler.answers
    assert "json" not in vars(answer)
    assert answer.json == {"feed": []}
