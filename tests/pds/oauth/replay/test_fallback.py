"""Stores behind one another: a failure costs neither answers nor what is used meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from pds.oauth.replay.errors import ReplayStoreFailed
from pds.oauth.replay.fallback import CONSULTED_S, RETRY_S, FallbackReplays
from pds.oauth.replay.opening import open_replays
from pds.oauth.replay.redis import PREFIX, RedisReplays
from pds.oauth.replay.sqlite import SqliteReplays
from pds.oauth.replay.store import ReplayStore, key_of
from pds.rate_limits.redis_client import open_redis
from tests.pds.accounts.conftest import FakeClock
from tests.pds.config.test_settings import settings_with
from tests.redis_server import RedisServer
from tests.small_disk import filled, small_disk

TTL_S = 198


class Failing:
    """A store that fails while it is told to."""

    def __init__(self, store: ReplayStore) -> None:
        self.store = store
        self.is_down = False
        self.asked = 0

    async def unique(self, namespace: str, value: str, ttl_s: float) -> bool:
        self.asked += 1
        if self.is_down:
            raise ReplayStoreFailed("the disk is full")
        return await self.store.unique(namespace, value, ttl_s)

    async def close(self) -> None:
        await self.store.close()


@pytest.fixture
def first(clock: FakeClock) -> Failing:
    return Failing(SqliteReplays.in_memory(clock=clock))


@pytest.fixture
def both(first: Failing, clock: FakeClock) -> FallbackReplays:
    second = SqliteReplays.in_memory(clock=clock)
    return FallbackReplays(first, second, name="first", now_s=clock)


async def test_the_first_store_answers_while_it_works(
    both: FallbackReplays, first: Failing
) -> None:
    assert [await both.unique("DPoP", "1", TTL_S) for _ in range(2)] == [True, False]
    assert not await first.store.unique("DPoP", "1", TTL_S)


async def test_while_it_fails_the_second_one_remembers(
    both: FallbackReplays, first: Failing, clock: FakeClock
) -> None:
    first.is_down = True
    with capture_logs() as logs:
        assert [await both.unique("DPoP", "1", TTL_S) for _ in range(3)] == [True, False, False]
    assert [(log["log_level"], log["reason"]) for log in logs] == [("error", "the disk is full")]


async def test_what_came_meanwhile_stays_used_when_it_works_again(
    both: FallbackReplays, first: Failing, clock: FakeClock
) -> None:
    await both.unique("DPoP", "before", TTL_S)
    first.is_down = True
    await both.unique("DPoP", "meanwhile", TTL_S)
    first.is_down = False
    clock.now_s += RETRY_S
    assert not await both.unique("DPoP", "meanwhile", TTL_S)
    assert not await both.unique("DPoP", "before", TTL_S)
    assert await both.unique("DPoP", "after", TTL_S)
    clock.now_s += CONSULTED_S
    assert await both.unique("DPoP", "meanwhile", TTL_S)


async def test_a_failing_store_is_asked_once_a_second(
    both: FallbackReplays, first: Failing, clock: FakeClock
) -> None:
    first.is_down = True
    for n in range(10):
        await both.unique("DPoP", str(n), TTL_S)
    assert first.asked == 1
    clock.now_s += RETRY_S
    await both.unique("DPoP", "x", TTL_S)
    assert first.asked == 2


async def test_without_a_place_for_the_file_memory_remembers(
    tmp_path: Path, clock: FakeClock
) -> None:
    store = open_replays(tmp_path / "missing" / "oauth_replay.sqlite", None, clock=clock)
    assert [await store.unique("DPoP", "1", TTL_S) for _ in range(2)] == [True, False]
    await store.close()


async def test_a_full_disk_costs_no_answer(tmp_path: Path, clock: FakeClock) -> None:
    with small_disk(tmp_path / "disk", size_mb=1) as disk:
        store = open_replays(disk / "oauth_replay.sqlite", None, clock=clock)
        assert await store.unique("DPoP", "before", TTL_S)
        with filled(disk), capture_logs() as logs:
            values = [str(n) for n in range(300)]
            assert all([await store.unique("DPoP", value, TTL_S) for value in values])
            assert not any([await store.unique("DPoP", value, TTL_S) for value in values])
        assert [log["where"] for log in logs] == ["oauth_replay.sqlite"]
        assert not await store.unique("DPoP", "299", TTL_S)
        await store.close()


async def test_a_start_on_a_full_disk_remembers_in_memory(tmp_path: Path, clock: FakeClock) -> None:
    with small_disk(tmp_path / "disk", size_mb=1) as disk, filled(disk), capture_logs() as logs:
        store = open_replays(disk / "oauth_replay.sqlite", None, clock=clock)
        assert [await store.unique("DPoP", "1", TTL_S) for _ in range(2)] == [True, False]
        await store.close()
    assert [log["event"] for log in logs] == ["used proofs are in memory until the next start"]


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer.start(tmp_path_factory.mktemp("redis"))
    yield server
    server.kill()


def client_of(server: RedisServer) -> Redis:
    redis = open_redis(settings_with(**server.environ))
    assert redis is not None
    return redis


async def test_servers_share_a_redis(
    redis_server: RedisServer, tmp_path: Path, clock: FakeClock
) -> None:
    one, other = (
        open_replays(tmp_path / f"{n}.sqlite", client_of(redis_server), clock=clock)
        for n in range(2)
    )
    assert await one.unique("DPoP", "shared", TTL_S)
    assert not await other.unique("DPoP", "shared", TTL_S)
    assert await other.unique("Auth@client", "shared", TTL_S)
    await one.close()
    await other.close()


async def test_redis_forgets_in_time(redis_server: RedisServer) -> None:
    redis = client_of(redis_server)
    await RedisReplays(redis).unique("DPoP", "timed", TTL_S)
    key = PREFIX + key_of("DPoP", "timed")
    assert 0 < await redis.pttl(key) <= TTL_S * 1000
    await redis.aclose()


async def test_a_redis_that_is_gone_is_replaced_by_the_file(
    redis_server: RedisServer, tmp_path: Path, clock: FakeClock
) -> None:
    path = tmp_path / "oauth_replay.sqlite"
    store = open_replays(path, client_of(redis_server), clock=clock)
    assert await store.unique("DPoP", "before", TTL_S)
    redis_server.kill()
    with capture_logs() as logs:
        assert [await store.unique("DPoP", "1", TTL_S) for _ in range(2)] == [True, False]
    assert [log["where"] for log in logs] == ["Redis"]
    in_file = SqliteReplays.open(path, clock=clock)
    assert not await in_file.unique("DPoP", "1", TTL_S)
    await in_file.close()
    await store.close()
    redis_server.start_again()
