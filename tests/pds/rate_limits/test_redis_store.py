"""Counters in a real Redis: shared, atomic, and no harm when it fails."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from pds.rate_limits import redis_client, redis_store
from pds.rate_limits.limit import Limit, by_ip
from pds.rate_limits.redis_client import open_redis
from pds.rate_limits.redis_store import RETRY_S, RedisStore
from pds.rate_limits.store import Count, Hit
from tests.pds.config.test_settings import settings_with
from tests.pds.conftest import Pds, start_pds
from tests.pds.rate_limits.conftest import Clock, told
from tests.redis_server import RedisServer

T = TypeVar("T")

DESCRIBE = "com.atproto.server.describeServer"
LOGIN = "com.atproto.server.createSession"
LIMIT = Limit("logins", 30, 300, by_ip)
DOWN = "Redis fails: rate limits do not hold until it answers"
UP = "Redis answers again: rate limits hold"


@pytest.fixture(scope="module")
def module_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer.start(tmp_path_factory.mktemp("redis"))
    yield server
    server.kill()


@pytest.fixture
def redis(module_redis: RedisServer) -> Iterator[RedisServer]:
    """A Redis that holds nothing, whatever the test before did to it."""
    yield module_redis
    module_redis.resume()
    module_redis.kill()
    module_redis.start_again()


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


def connect(stack: AsyncExitStack, redis: RedisServer) -> Redis:
    client = open_redis(settings_with(**redis.environ))
    assert client is not None
    stack.push_async_callback(client.aclose)
    return client


@pytest.fixture
def answer_s() -> float:
    """How long Redis may take: on a busy machine it is slow, and no test is about that."""
    return 30.0


@pytest.fixture
def client(
    stack: AsyncExitStack, redis: RedisServer, answer_s: float, monkeypatch: pytest.MonkeyPatch
) -> Redis:
    monkeypatch.setattr(redis_client, "ANSWER_S", answer_s)
    return connect(stack, redis)


@pytest.fixture
def store(client: Redis, clock: Clock, answer_s: float) -> RedisStore:
    return RedisStore(client, timeout_s=answer_s, now_s=clock.now_s)


def key_of(name: str) -> str:
    """What the counter of `LIMIT` is called in Redis."""
    return f"{redis_store.PREFIX}logins:{name}"


async def add(store: RedisStore, key: str) -> Count:
    counts = await store.add([Hit(LIMIT, key, 1)])
    assert counts is not None
    return counts[0]


def at_once(call: Coroutine[Any, Any, T]) -> T:
    """The result of a call that waits for nothing."""
    try:
        call.send(None)
    except StopIteration as ended:
        result: T = ended.value
        return result
    call.close()
    raise AssertionError("it waits")


# --- Counting


async def test_all_counters_of_a_request_are_counted_at_once(store: RedisStore) -> None:
    other = Limit("mails", 5, 3600, by_ip)
    for n in (1, 2):
        counts = await store.add([Hit(LIMIT, "a", 1), Hit(other, "a", 3), Hit(LIMIT, "b", 2)])
        assert counts is not None
        assert [(count.limit, count.used) for count in counts] == [
            (LIMIT, n),
            (other, 3 * n),
            (LIMIT, 2 * n),
        ]
        assert 299_000 < counts[0].resets_in_ms <= 300_000
        assert 3_599_000 < counts[1].resets_in_ms <= 3_600_000


async def test_a_window_is_not_prolonged_and_ends(store: RedisStore, client: Redis) -> None:
    await add(store, "a")
    await client.pexpire(key_of("a"), 50)
    later = await add(store, "a")
    while later.used > 1:
        assert later.resets_in_ms <= 50
        later = await add(store, "a")
    assert later.resets_in_ms == 300_000


async def test_servers_share_their_counters_and_lose_no_hit(
    stack: AsyncExitStack, redis: RedisServer
) -> None:
    stores = [RedisStore(connect(stack, redis)) for _ in range(2)]
    counts = await asyncio.gather(*(add(stores[n % 2], "a") for n in range(60)))
    assert sorted(count.used for count in counts) == list(range(1, 61))


async def test_a_counter_without_an_end_gets_one(store: RedisStore, client: Redis) -> None:
    await client.set(key_of("a"), 100)
    assert await add(store, "a") == Count(LIMIT, 101, 300_000)
    assert 0 < await client.pttl(key_of("a")) <= 300_000


async def test_a_script_that_redis_has_forgotten_is_told_again(
    store: RedisStore, client: Redis
) -> None:
    assert (await add(store, "a")).used == 1
    await client.script_flush()
    assert (await add(store, "a")).used == 2


# --- Failing


async def test_limits_do_not_hold_while_redis_is_down_and_hold_again(
    store: RedisStore, redis: RedisServer, clock: Clock
) -> None:
    with capture_logs() as logs:
        assert (await add(store, "a")).used == 1
        redis.kill()
        for _ in range(5):
            assert await store.add([Hit(LIMIT, "a", 1)]) is None
            clock.advance(RETRY_S)
        redis.start_again()
        clock.advance(RETRY_S)
        assert (await add(store, "a")).used == 1
        assert (await add(store, "a")).used == 2
    assert [log["event"] for log in logs] == [DOWN, UP]


async def test_a_restart_between_two_requests_goes_unnoticed(
    store: RedisStore, redis: RedisServer
) -> None:
    await asyncio.gather(*(add(store, "a") for _ in range(50)))
    redis.kill()
    redis.start_again()
    with capture_logs() as logs:
        counts = await asyncio.gather(*(add(store, "a") for _ in range(50)))
    assert max(count.used for count in counts) == 50
    assert logs == []


class TestWhileItHangs:
    @pytest.fixture
    def answer_s(self) -> float:
        return 1.0

    async def test_a_redis_that_hangs_delays_nobody_for_long(
        self, store: RedisStore, redis: RedisServer, clock: Clock, answer_s: float
    ) -> None:
        await add(store, "a")
        redis.pause()
        with capture_logs() as logs:
            begun = time.monotonic()
            waited = await asyncio.gather(*(store.add([Hit(LIMIT, "a", 1)]) for _ in range(50)))
            assert waited == [None] * 50
            # One after the other they would have waited for fifty times as long.
            assert time.monotonic() - begun < 25 * answer_s
            # Of those that come later none waits, until one tries again.
            for _ in range(1000):
                assert at_once(store.add([Hit(LIMIT, "a", 1)])) is None
        assert [log["event"] for log in logs] == [DOWN]
        redis.resume()
        clock.advance(RETRY_S)
        # Late answers to the earlier hits are not taken for those to later ones.
        before = await add(store, "a")
        assert await add(store, "b") == Count(LIMIT, 1, 300_000)
        assert (await add(store, "a")).used == before.used + 1

    async def test_while_redis_hangs_one_request_at_a_time_tries_again(
        self, store: RedisStore, redis: RedisServer, clock: Clock
    ) -> None:
        redis.pause()
        assert await store.add([Hit(LIMIT, "a", 1)]) is None
        clock.advance(RETRY_S)
        trying = asyncio.create_task(store.add([Hit(LIMIT, "a", 1)]))
        await asyncio.sleep(0)
        assert at_once(store.add([Hit(LIMIT, "a", 1)])) is None
        assert not trying.done()
        assert await trying is None


async def test_a_wrong_password_is_told_and_limits_nobody(
    stack: AsyncExitStack, redis: RedisServer
) -> None:
    store = RedisStore(connect(stack, replace(redis, password="wrong")))
    with capture_logs() as logs:
        assert await store.add([Hit(LIMIT, "a", 1)]) is None
    (log,) = logs
    assert log["event"] == DOWN
    assert "password" in log["reason"]


# --- Servers


async def start_two(stack: AsyncExitStack, data: Path, redis: RedisServer) -> list[Pds]:
    servers = []
    for name in ("one", "two"):
        (data / name).mkdir()
        environ = {**redis.environ, "PDS_RATE_LIMITS_ENABLED": "true"}
        servers.append(await start_pds(stack, data / name, environ))
    return servers


async def test_two_servers_share_their_limits(
    stack: AsyncExitStack, tmp_path: Path, redis: RedisServer
) -> None:
    one, two = await start_two(stack, tmp_path, redis)
    assert [told(await pds.get(DESCRIBE))[1] for pds in (one, two, one, two)] == [
        "2999",
        "2998",
        "2997",
        "2996",
    ]
    body = {"identifier": "nobody.test", "password": "x"}
    replies = [await pds.post(LOGIN, body) for pds in [one, two] * 16]
    assert [reply.status for reply in replies] == [401] * 30 + [429] * 2


async def test_a_server_works_on_without_its_redis(
    stack: AsyncExitStack, tmp_path: Path, redis: RedisServer
) -> None:
    one, _ = await start_two(stack, tmp_path, redis)
    assert told(await one.get(DESCRIBE))[1] == "2999"
    redis.kill()
    for _ in range(3):
        reply = await one.get(DESCRIBE)
        assert (reply.status, "RateLimit-Limit" in reply.headers) == (200, False)


async def test_a_server_that_has_never_met_its_redis_starts_and_stops(
    tmp_path: Path, redis: RedisServer
) -> None:
    redis.pause()
    async with AsyncExitStack() as stack:
        one, _ = await start_two(stack, tmp_path, redis)
        assert (await one.get(DESCRIBE)).status == 200
