from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from identity.did_cache import DidCache
from identity.did_document import DidDocument
from identity.http import SafeHttp
from identity.resolver import (
    ASK_AGAIN_S,
    FAILURE_S,
    DidNotFound,
    DidResolver,
    DidUnresolvable,
    UnsupportedDidMethod,
)
from repo.syntax import Did
from tests.identity.conftest import Hang, WebHost

_PLC_DID = Did("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa")
_HOUR_MS = 3_600_000


def _json(did: str, handle: str = "alice.test") -> str:
    return json.dumps({"id": did, "alsoKnownAs": [f"at://{handle}"]})


class Clock:
    """Milliseconds that pass when the test says so."""

    now_ms = 1_700_000_000_000

    def __call__(self) -> int:
        return self.now_ms

    def monotonic_s(self) -> float:
        return self.now_ms / 1_000


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[DidCache]:
    cache = DidCache.open(tmp_path / "did_cache.sqlite")
    yield cache
    cache.close()


@pytest.fixture
async def resolver(
    cache: DidCache, open_http: SafeHttp, web_host: WebHost, clock: Clock
) -> AsyncIterator[DidResolver]:
    resolver = DidResolver(
        cache,
        open_http,
        plc_url=web_host.url + "/",
        now_ms=clock,
        monotonic_s=clock.monotonic_s,
    )
    yield resolver
    await resolver.close()


async def test_did_plc_comes_from_the_directory(resolver: DidResolver, web_host: WebHost) -> None:
    web_host.answer(f"/{_PLC_DID}", _json(_PLC_DID))
    document = await resolver.resolve(_PLC_DID)
    assert document.handle == "alice.test"


async def test_did_web_comes_from_its_host(resolver: DidResolver, web_host: WebHost) -> None:
    for host in ("localhost", "127.0.0.1"):
        did = Did(f"did:web:{host}%3A{web_host.port}")
        web_host.answer("/.well-known/did.json", _json(did))
        assert (await resolver.resolve(did)).did == did


async def test_resolving_again_asks_nobody_and_gives_the_same_object(
    resolver: DidResolver, web_host: WebHost
) -> None:
    web_host.answer(f"/{_PLC_DID}", _json(_PLC_DID))
    first = await resolver.resolve(_PLC_DID)
    assert await resolver.resolve(_PLC_DID) is first
    assert len(web_host.requests) == 1


async def test_a_did_that_this_server_publishes_is_asked_of_nobody_once_there_is_a_document(
    resolver: DidResolver, web_host: WebHost
) -> None:
    did = Did(f"did:web:localhost%3A{web_host.port}")
    web_host.answer("/.well-known/did.json", _json(did, "network.test"))
    own: list[DidDocument] = []
    resolver.answer_for(did, lambda: own[-1] if own else None)
    assert (resolver.find_own(did), resolver.find_own(_PLC_DID)) == (None, None)
    assert (await resolver.resolve(did)).handle == "network.test"
    asked = len(web_host.requests)
    for handle in ("first.test", "second.test"):
        own.append(DidDocument(json.loads(_json(did, handle))))
        assert (await resolver.resolve(did)).handle == handle
        assert (await resolver.resolve(did, force=True)).handle == handle
        assert (await resolver.resolve_again(did)).handle == handle
        assert resolver.find_cached(did) is own[-1]
    assert len(web_host.requests) == asked


async def test_force_asks_again(resolver: DidResolver, web_host: WebHost) -> None:
    web_host.answer(f"/{_PLC_DID}", _json(_PLC_DID))
    await resolver.resolve(_PLC_DID)
    web_host.answer(f"/{_PLC_DID}", _json(_PLC_DID, "new.test"))
    assert (await resolver.resolve(_PLC_DID, force=True)).handle == "new.test"
    assert (await resolver.resolve(_PLC_DID)).handle == "new.test"


async def test_a_stale_document_is_served_and_refreshed_once(
    resolver: DidResolver, web_host: WebHost, clock: Clock
) -> None:
    web_host.answer(f"/{_PLC_DID}", _json(_PLC_DID))
    await resolver.resolve(_PLC_DID)
    web_host.answer(f"/{_PLC_DID}", _json(_PLC_DID, "new.test"))
    clock.now_ms += _HOUR_MS + 1
    for _ in range(5):
        assert (await resolver.resolve(_PLC_DID)).handle == "alice.test"
    # Joins the refresh that is already under way.
    assert (await resolver.resolve_again(_PLC_DID)).handle == "new.test"
    assert len(web_host.requests) == 2
    assert (await resolver.resolve(_PLC_DID)).handle == "new.test"


async def test_a_forced_look_up_never_believes_a_fetch_that_began_before_it(
    resolver: DidResolver, web_host: WebHost
) -> None:
    answer = _json(_PLC_DID, "old.test")
    reached, released = asyncio.Event(), asyncio.Event()

    async def slow(_: web.Request) -> web.Response:
        text = answer
        reached.set()
        await released.wait()
        return web.Response(text=text)

    web_host.pages[f"/{_PLC_DID}"] = slow
    stranger = asyncio.create_task(resolver.resolve(_PLC_DID))
    await reached.wait()
    answer = _json(_PLC_DID, "new.test")
    owners = [asyncio.create_task(resolver.resolve(_PLC_DID, force=True)) for _ in range(3)]
    await asyncio.sleep(0)
    released.set()
    assert (await stranger).handle == "old.test"
    assert {document.handle for document in await asyncio.gather(*owners)} == {"new.test"}
    assert len(web_host.requests) == 2


async def test_strangers_make_the_server_ask_again_once_a_minute(
    resolver: DidResolver, web_host: WebHost, clock: Clock
) -> None:
    web_host.answer(f"/{_PLC_DID}", _json(_PLC_DID))
    await resolver.resolve(_PLC_DID)
    for _ in range(100):
        await resolver.resolve_again(_PLC_DID)
    assert len(web_host.requests) == 2
    web_host.answer(f"/{_PLC_DID}", _json(_PLC_DID, "new.test"))
    clock.now_ms += ASK_AGAIN_S * 1_000
    results = await asyncio.gather(*(resolver.resolve_again(_PLC_DID) for _ in range(100)))
    assert {document.handle for document in results} == {"new.test"}
    assert len(web_host.requests) == 3


async def test_strangers_ask_a_source_that_fails_once_a_minute(
    resolver: DidResolver, web_host: WebHost, clock: Clock
) -> None:
    web_host.answer(f"/{_PLC_DID}", _json(_PLC_DID))
    await resolver.resolve(_PLC_DID)
    web_host.answer(f"/{_PLC_DID}", "", status=500)
    clock.now_ms += ASK_AGAIN_S * 1_000
    with pytest.raises(DidUnresolvable):
        await resolver.resolve_again(_PLC_DID)
    for _ in range(10):
        clock.now_ms += 5_000
        assert (await resolver.resolve_again(_PLC_DID)).handle == "alice.test"
    assert len(web_host.requests) == 2


async def test_a_did_that_is_not_there_is_not_looked_up_again_and_again(
    resolver: DidResolver, web_host: WebHost, clock: Clock
) -> None:
    web_host.answer(f"/{_PLC_DID}", "", status=404)
    for _ in range(10):
        with pytest.raises(DidNotFound, match="not registered"):
            await resolver.resolve(_PLC_DID)
    assert len(web_host.requests) == 1
    web_host.answer(f"/{_PLC_DID}", _json(_PLC_DID))
    clock.now_ms += FAILURE_S * 1_000
    assert (await resolver.resolve(_PLC_DID)).handle == "alice.test"


@pytest.mark.parametrize("by", ["force", "forget"])
async def test_an_owner_s_did_is_found_as_soon_as_it_is_there(
    resolver: DidResolver, web_host: WebHost, by: str
) -> None:
    web_host.answer(f"/{_PLC_DID}", "", status=404)
    with pytest.raises(DidNotFound):
        await resolver.resolve(_PLC_DID)
    web_host.answer(f"/{_PLC_DID}", _json(_PLC_DID))
    if by == "forget":
        await resolver.forget(_PLC_DID)
    assert await resolver.resolve(_PLC_DID, force=by == "force")
    assert await resolver.resolve(_PLC_DID)


async def test_a_failed_refresh_leaves_the_stale_document(
    resolver: DidResolver, web_host: WebHost, clock: Clock
) -> None:
    web_host.answer(f"/{_PLC_DID}", _json(_PLC_DID))
    await resolver.resolve(_PLC_DID)
    web_host.answer(f"/{_PLC_DID}", "", status=500)
    clock.now_ms += _HOUR_MS + 1
    await resolver.resolve(_PLC_DID)
    with pytest.raises(DidUnresolvable):
        await resolver.resolve(_PLC_DID, force=True)
    for _ in range(10):
        assert (await resolver.resolve(_PLC_DID)).handle == "alice.test"
    assert len(web_host.requests) == 3  # Not again for each that asks.


async def test_an_expired_document_is_not_served(
    resolver: DidResolver, web_host: WebHost, clock: Clock
) -> None:
    web_host.answer(f"/{_PLC_DID}", _json(_PLC_DID))
    await resolver.resolve(_PLC_DID)
    web_host.answer(f"/{_PLC_DID}", "", status=500)
    clock.now_ms += 24 * _HOUR_MS
    await resolver.resolve(_PLC_DID)
    clock.now_ms += 1
    with pytest.raises(DidUnresolvable, match="status 500"):
        await resolver.resolve(_PLC_DID)


async def test_a_clock_set_back_does_not_keep_documents_forever(
    resolver: DidResolver, web_host: WebHost, clock: Clock
) -> None:
    web_host.answer(f"/{_PLC_DID}", _json(_PLC_DID))
    await resolver.resolve(_PLC_DID)
    clock.now_ms -= 365 * 24 * _HOUR_MS
    await resolver.resolve(_PLC_DID)
    assert len(web_host.requests) == 2


@pytest.mark.parametrize("status", [404, 410])
async def test_a_did_that_is_gone_leaves_the_cache(
    resolver: DidResolver, cache: DidCache, web_host: WebHost, status: int
) -> None:
    web_host.answer(f"/{_PLC_DID}", _json(_PLC_DID))
    await resolver.resolve(_PLC_DID)
    web_host.answer(f"/{_PLC_DID}", "{}", status=status)
    with pytest.raises(DidNotFound):
        await resolver.resolve(_PLC_DID, force=True)
    assert cache.find(_PLC_DID) is None


@pytest.mark.parametrize("status", [400, 404, 500])
async def test_any_failure_of_a_did_web_host_clears_the_cache(
    resolver: DidResolver, cache: DidCache, web_host: WebHost, status: int
) -> None:
    did = Did(f"did:web:localhost%3A{web_host.port}")
    web_host.answer("/.well-known/did.json", _json(did))
    await resolver.resolve(did)
    web_host.answer("/.well-known/did.json", "", status=status)
    with pytest.raises(DidNotFound):
        await resolver.resolve(did, force=True)
    assert cache.find(did) is None


@pytest.mark.parametrize(
    "body",
    [
        "{not json",
        "[]",
        "null",
        "{}",
        _json("did:plc:bbbbbbbbbbbbbbbbbbbbbbbb"),
        b"\xff\xfe\x00",
        json.dumps({"id": _PLC_DID, "service": "x" * 200_000}),
    ],
)
async def test_answers_that_are_no_document_of_the_did_are_refused(
    resolver: DidResolver, cache: DidCache, web_host: WebHost, body: bytes | str
) -> None:
    web_host.answer(f"/{_PLC_DID}", body)
    with pytest.raises(DidUnresolvable):
        await resolver.resolve(_PLC_DID)
    assert cache.find(_PLC_DID) is None


async def test_redirects_are_not_followed(resolver: DidResolver, web_host: WebHost) -> None:
    did = Did(f"did:web:localhost%3A{web_host.port}")
    web_host.redirect("/.well-known/did.json", "/elsewhere")
    web_host.answer("/elsewhere", _json(did))
    with pytest.raises(DidUnresolvable):
        await resolver.resolve(did)


@pytest.mark.parametrize(
    "did",
    [
        "did:key:zQ3shZ1C8fVZUVznwgFcAh8dBjj9dMKAgih3wqZHujrHFYJXb",
        "did:example:abc",
        "did:web:example.com:user:alice",
        "did:web:example.com%2Fpath",
        "did:web:example.com%3A80%3A90",
        "did:web:user%40example.com",
        "did:web:..",
    ],
)
async def test_other_methods_are_not_supported(resolver: DidResolver, did: str) -> None:
    with pytest.raises(UnsupportedDidMethod):
        await resolver.resolve(Did(did))


async def test_a_did_web_cannot_reach_private_addresses(cache: DidCache, web_host: WebHost) -> None:
    async with SafeHttp() as http:
        resolver = DidResolver(cache, http, plc_url=web_host.url)
        for host in ("localhost", "127.0.0.1", "169.254.169.254"):
            with pytest.raises(DidUnresolvable):
                await resolver.resolve(Did(f"did:web:{host}%3A{web_host.port}"))
    assert web_host.requests == []


async def test_a_hanging_host_times_out(cache: DidCache, web_host: WebHost) -> None:
    web_host.pages[f"/{_PLC_DID}"] = hang = Hang()
    async with SafeHttp(timeout_ms=50) as http:
        resolver = DidResolver(cache, http, plc_url=web_host.url)
        with pytest.raises(DidUnresolvable, match="no answer within"):
            await resolver.resolve(_PLC_DID)
    hang.release.set()


async def test_concurrent_resolutions_share_one_request(
    resolver: DidResolver, web_host: WebHost
) -> None:
    released = asyncio.Event()
    reached = asyncio.Event()

    async def slow(_: web.Request) -> web.Response:
        reached.set()
        await released.wait()
        return web.Response(text=_json(_PLC_DID))

    web_host.pages[f"/{_PLC_DID}"] = slow
    callers = [asyncio.create_task(resolver.resolve(_PLC_DID)) for _ in range(10)]
    await reached.wait()
    # One caller going away takes nothing from the others.
    callers[0].cancel()
    released.set()
    results = await asyncio.gather(*callers, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert len({id(result) for result in results[1:]}) == 1
    assert len(web_host.requests) == 1


class Busy(Exception):
    """The exception that a share raises."""


class Refusing:
    """A share that grants no turns until told to, and then refuses the first requester."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.decided = asyncio.Event()
        self.asked = 0

    @asynccontextmanager
    async def turn(self, _: str) -> AsyncIterator[None]:
        self.asked += 1
        first = self.asked == 1
        self.entered.set()
        await self.decided.wait()
        if first:
            raise Busy
        yield


async def test_whoever_joins_a_fetch_does_not_share_its_lack_of_a_turn(
    cache: DidCache, open_http: SafeHttp, web_host: WebHost
) -> None:
    web_host.answer(f"/{_PLC_DID}", _json(_PLC_DID))
    share = Refusing()
    resolver = DidResolver(cache, open_http, plc_url=web_host.url, plc_share=share)
    first = asyncio.create_task(resolver.resolve(_PLC_DID))
    await share.entered.wait()
    second = asyncio.create_task(resolver.resolve(_PLC_DID))
    await asyncio.sleep(0)
    share.decided.set()
    with pytest.raises(Busy):
        await first
    assert (await second).did == _PLC_DID
    await resolver.close()


async def test_concurrent_failures_reach_every_caller(
    resolver: DidResolver, web_host: WebHost
) -> None:
    web_host.answer(f"/{_PLC_DID}", "", status=404)
    results = await asyncio.gather(
        *(resolver.resolve(_PLC_DID) for _ in range(3)), return_exceptions=True
    )
    assert all(isinstance(result, DidNotFound) for result in results)
    assert len(web_host.requests) == 1


async def test_forgetting_makes_the_next_resolution_ask(
    resolver: DidResolver, web_host: WebHost
) -> None:
    web_host.answer(f"/{_PLC_DID}", _json(_PLC_DID))
    await resolver.resolve(_PLC_DID)
    await resolver.forget(_PLC_DID)
    assert resolver.find_cached(_PLC_DID) is None
    await resolver.resolve(_PLC_DID)
    assert len(web_host.requests) == 2


async def test_closing_ends_what_is_under_way(
    cache: DidCache, open_http: SafeHttp, web_host: WebHost
) -> None:
    web_host.pages[f"/{_PLC_DID}"] = hang = Hang()
    resolver = DidResolver(cache, open_http, plc_url=web_host.url)
    caller = asyncio.create_task(resolver.resolve(_PLC_DID))
    await hang.reached.wait()
    await resolver.close()
    with pytest.raises(asyncio.CancelledError):
        await caller
    hang.release.set()
