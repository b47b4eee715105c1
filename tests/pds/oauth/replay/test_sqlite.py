"""Replay stores in SQLite: one True for each value, for all processes, within bounds."""

from __future__ import annotations

import asyncio
import os
import threading
from itertools import pairwise
from pathlib import Path

import apsw
import pytest

from database.opening import open_database
from database.temporary import open_in_memory
from pds.oauth.replay.errors import ReplayStoreFailed
from pds.oauth.replay.sqlite import SqliteReplays
from pds.oauth.replay.store import key_of
from tests.pds.accounts.conftest import FakeClock

TTL_S = 198


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "oauth_replay.sqlite"


def replace_bytes(path: Path, data: bytes, *, at: int = 0) -> None:
    content = path.read_bytes() if path.exists() else b""
    path.write_bytes(content[:at] + data + content[at + len(data) :])


def count(connection: apsw.Connection) -> int:
    return int(next(connection.execute("SELECT count(*) FROM holdfast_used"))[0])


async def test_a_value_is_new_once(replays: SqliteReplays) -> None:
    assert [await replays.unique("DPoP", "1", TTL_S) for _ in range(3)] == [True, False, False]


async def test_namespaces_do_not_meet(replays: SqliteReplays) -> None:
    pairs = [("a", "b:c"), ("a:b", "c"), ("a:b:", "c"), ("", "a:b:c")]
    assert all([await replays.unique(*pair, TTL_S) for pair in pairs])


async def test_a_value_is_new_again_after_its_time(
    replays: SqliteReplays, clock: FakeClock
) -> None:
    assert await replays.unique("DPoP", "1", TTL_S)
    clock.now_s += TTL_S - 0.001
    assert not await replays.unique("DPoP", "1", TTL_S)
    clock.now_s += 0.001
    assert await replays.unique("DPoP", "1", TTL_S)
    assert not await replays.unique("DPoP", "1", TTL_S)


async def test_of_calls_at_once_one_is_first(path: Path, clock: FakeClock) -> None:
    """Two connections stand for two processes."""
    stores = [SqliteReplays.open(path, clock=clock) for _ in range(2)]
    for value in map(str, range(20)):
        calls = (store.unique("DPoP", value, TTL_S) for store in stores * 3)
        assert sorted(await asyncio.gather(*calls)) == [False] * 5 + [True]
    for store in stores:
        await store.close()


async def test_processes_may_start_at_once(path: Path, clock: FakeClock) -> None:
    """Threads with their own connections stand for them."""
    opening = (asyncio.to_thread(SqliteReplays.open, path, clock=clock) for _ in range(8))
    stores = await asyncio.gather(*opening)
    assert [await store.unique("DPoP", "1", TTL_S) for store in stores] == [True] + [False] * 7
    for store in stores:
        await store.close()


async def test_a_start_waits_for_another_that_makes_the_file(path: Path, clock: FakeClock) -> None:
    other = open_database(path)
    other.run("BEGIN IMMEDIATE")
    release = threading.Timer(0.05, other.rollback)
    release.start()
    store = await asyncio.to_thread(SqliteReplays.open, path, clock=clock)
    release.join()
    assert await store.unique("DPoP", "1", TTL_S)
    await store.close()
    other.close()


async def test_values_outlive_the_process(path: Path, clock: FakeClock) -> None:
    first = SqliteReplays.open(path, clock=clock)
    assert await first.unique("DPoP", "1", TTL_S)
    await first.close()
    second = SqliteReplays.open(path, clock=clock)
    assert not await second.unique("DPoP", "1", TTL_S)
    await second.close()


@pytest.mark.parametrize("value", ["", "x" * 100_000, "ü", "\ud800", "\0"])
async def test_any_text_is_a_value(replays: SqliteReplays, value: str) -> None:
    assert len(key_of("DPoP", value)) == 16
    assert [await replays.unique("DPoP", value, TTL_S) for _ in range(2)] == [True, False]


async def test_expired_values_are_removed_step_by_step(path: Path, clock: FakeClock) -> None:
    store = SqliteReplays.open(path, clock=clock)
    other = open_database(path).connection
    for n in range(1_000):
        await store.unique("DPoP", str(n), TTL_S)
    clock.now_s += TTL_S
    counts = []
    for n in range(1_000):
        await store.unique("later", str(n), TTL_S)
        counts.append(count(other))
    assert counts[-1] == 1_000
    assert max(before - after for before, after in pairwise(counts)) <= 200
    await store.close()


async def test_a_full_store_forgets_what_expires_first(clock: FakeClock) -> None:
    db = open_in_memory()
    store = SqliteReplays(db, clock=clock, max_bytes=64 * 1024)
    await store.unique("CodeChallenge", "long", 95_040)
    for n in range(5_000):
        clock.now_s += 0.001
        assert await store.unique("DPoP", str(n), TTL_S)
    assert count(db.connection) < 2_000
    assert not await store.unique("CodeChallenge", "long", 95_040)
    assert not await store.unique("DPoP", "4999", TTL_S)


@pytest.mark.parametrize("damage", [b"", b"no database" * 500])
async def test_a_damaged_file_is_replaced(path: Path, clock: FakeClock, damage: bytes) -> None:
    replace_bytes(path, damage)
    store = SqliteReplays.open(path, clock=clock)
    assert await store.unique("DPoP", "1", TTL_S)
    await store.close()


async def test_a_file_with_a_torn_page_is_replaced(path: Path, clock: FakeClock) -> None:
    store = SqliteReplays.open(path, clock=clock)
    for n in range(1_000):
        await store.unique("DPoP", str(n), TTL_S)
    await store.close()
    replace_bytes(path, os.urandom(4096), at=3 * 4096)
    store = SqliteReplays.open(path, clock=clock)
    assert await store.unique("DPoP", "1", TTL_S)
    await store.close()


async def test_a_store_that_cannot_write_says_so(path: Path, clock: FakeClock) -> None:
    store = SqliteReplays.open(path, clock=clock)
    await store.close()
    with pytest.raises(ReplayStoreFailed):
        await store.unique("DPoP", "1", TTL_S)


async def test_a_locked_file_is_waited_for(path: Path, clock: FakeClock) -> None:
    store = SqliteReplays.open(path, clock=clock)
    other = open_database(path)
    other.run("BEGIN IMMEDIATE")
    waiting = asyncio.create_task(store.unique("DPoP", "1", TTL_S))
    await asyncio.wait([waiting], timeout=0.02)
    assert not waiting.done()
    other.rollback()
    assert await waiting
    await store.close()
