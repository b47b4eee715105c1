"""app.bsky.feed.getFeed: the AppView asks the generator in the reader's name."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web

from tests.pds.conftest import Account, Pds, Reply
from tests.pds.upstream import Received, Upstream, register_service, via

GET_FEED = "app.bsky.feed.getFeed"
GET_RECORD = "/xrpc/com.atproto.repo.getRecord"
GENERATOR = "did:web:generator.example.com"
FEED = "at://did:plc:aaaaaaaaaaaaaaaaaaaaaaaa/app.bsky.feed.generator/knots"


class AppView:
    """Knows the record of one generator, and serves feeds."""

    def __init__(self, upstream: Upstream) -> None:
        self.record: web.Response | Any = {"uri": FEED, "value": {"did": GENERATOR}}
        self.upstream = upstream
        upstream.answer = self

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        if request.path == GET_RECORD:
            response = self.record() if callable(self.record) else web.json_response(self.record)
            assert isinstance(response, web.StreamResponse)
            return response
        return web.json_response({"feed": []}, headers={"Atproto-Repo-Rev": "3k"})

    @property
    def feed_requests(self) -> list[Received]:
        return [one for one in self.upstream.received if not one.path.startswith(GET_RECORD)]


@pytest.fixture
def feeds(appview: Upstream) -> AppView:
    return AppView(appview)


async def get_feed(pds: Pds, account: Account, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await pds.get(GET_FEED, {**account.auth, **named}, feed=FEED, limit=5)


async def test_the_token_is_for_the_generator(
    pds: Pds, alice: Account, appview: Upstream, feeds: AppView
) -> None:
    reply = await get_feed(pds, alice, Accept_Language="de")
    assert (reply.status, reply.json) == (200, {"feed": []})
    assert reply.headers["Atproto-Repo-Rev"] == "3k"
    lookup, request = appview.received
    assert lookup.path == (
        f"{GET_RECORD}?repo=did%3Aplc%3Aaaaaaaaaaaaaaaaaaaaaaaaa"
        "&collection=app.bsky.feed.generator&rkey=knots"
    )
    assert "Authorization" not in lookup.headers
    assert request.path.startswith(f"/xrpc/{GET_FEED}?feed=at://")
    assert request.headers["Accept-Language"] == "de"
    claims = request.token_of(pds, alice)
    assert (claims["aud"], claims["lxm"]) == (GENERATOR, "app.bsky.feed.getFeedSkeleton")


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"value": {}},
        {"value": {"did": 5}},
        {"value": {"did": "generator.example.com"}},
        {"value": "x"},
    ],
)
async def test_a_feed_without_a_generator_is_unknown(
    pds: Pds, alice: Account, feeds: AppView, record: Any
) -> None:
    feeds.record = record
    reply = await get_feed(pds, alice)
    assert reply.json == {"error": "UnknownFeed", "message": "could not resolve feed did"}
    assert reply.status == 400
    assert feeds.feed_requests == []


@pytest.mark.parametrize("feed", ["at://alice.test", "at://alice.test/app.bsky.feed.generator"])
async def test_a_uri_that_is_no_record_is_no_feed(
    pds: Pds, alice: Account, appview: Upstream, feed: str
) -> None:
    reply = await pds.get(GET_FEED, alice.auth, feed=feed)
    assert reply.error == (400, "UnknownFeed")
    assert appview.received == []


async def test_failures_of_the_lookup_are_told(pds: Pds, alice: Account, feeds: AppView) -> None:
    missing = {"error": "RecordNotFound", "message": "No such record"}
    for record, status, error in (
        (lambda: web.json_response(missing, status=400), 400, "RecordNotFound"),
        (lambda: web.json_response(missing, status=500), 502, "RecordNotFound"),
        (lambda: web.Response(body=b"{nope"), 502, "InvalidResponse"),
    ):
        feeds.record = record
        assert (await get_feed(pds, alice)).error == (status, error)
    assert feeds.feed_requests == []


async def test_parameters_and_credentials_are_checked_first(
    pds: Pds, alice: Account, appview: Upstream
) -> None:
    assert (await pds.get(GET_FEED, alice.auth)).error == (400, "InvalidRequest")
    assert (await pds.get(GET_FEED, alice.auth, feed="x")).error == (400, "InvalidRequest")
    assert (await pds.get(GET_FEED, feed=FEED)).error == (401, "AuthMissing")
    bad = await get_feed(pds, alice, atproto_proxy="foo")
    assert bad.json["message"] == "no service id specified in proxy header"
    assert appview.received == []


async def test_another_appview_may_be_named(
    pds: Pds, alice: Account, feeds: AppView, other: Upstream
) -> None:
    did = register_service(pds, {"bsky_appview": other.url})
    reply = await get_feed(pds, alice, **via(did, "bsky_appview"))
    assert reply.json == {"ok": True}
    assert other.last.claims["aud"] == GENERATOR
    assert feeds.feed_requests == []


class TestWithoutAnAppView:
    @pytest.fixture
    def pds_environ(self) -> dict[str, str]:
        return {}

    async def test_there_are_no_feeds(self, pds: Pds, alice: Account) -> None:
        reply = await get_feed(pds, alice)
        assert reply.json["message"] == f"No service configured for {GET_FEED}"
