"""Limits hold over all processes of a server together."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from pds.peers.peers import Peers
from pds.rate_limits.limit import Limit, by_ip
from pds.rate_limits.memory import MemoryStore
from pds.rate_limits.shared import GENEROUS, SharedStore, count_hits
from pds.rate_limits.store import Count, Hit
from tests.pds.rate_limits.conftest import Clock

TIGHT = Limit("tight", 5, 60, by_ip)
WIDE = Limit("wide", GENEROUS, 60, by_ip)


@dataclass
class FirstProcess:
    """The first process, and the link of a worker to it, which counts the messages."""

    counters: MemoryStore | SharedStore
    peers: Peers = field(default_factory=Peers)
    messages: int = 0
    has_counted: asyncio.Event = field(default_factory=asyncio.Event)

    async def call(self, _name: str, *args: Any) -> Any:
        self.messages += 1
        await asyncio.sleep(0)
        counted = await count_hits(self, *args)
        self.has_counted.set()
        return counted


@dataclass
class Worker:
    """A worker, as far as counters need it."""

    peers: Any
    counters: Any = None


@pytest.fixture
def first(clock: Clock) -> FirstProcess:
    return FirstProcess(MemoryStore(now_ms=clock.now_ms))


def store_of_worker(first: FirstProcess, clock: Clock) -> SharedStore:
    return SharedStore(Worker(Peers(first=first)), now_ms=clock.now_ms)  # type: ignore[arg-type]


async def add(store: SharedStore, limit: Limit, points: int = 1, key: str = "key") -> Count:
    (count,) = await store.add([Hit(limit, key, points)])
    return count


async def test_a_tight_limit_is_exact_over_all_workers(first: FirstProcess, clock: Clock) -> None:
    workers = [store_of_worker(first, clock) for _ in range(3)]
    counts = await asyncio.gather(*(add(workers[n % 3], TIGHT) for n in range(9)))
    assert sorted(count.used for count in counts) == list(range(1, 10))


async def test_the_requests_of_one_step_are_one_message(first: FirstProcess, clock: Clock) -> None:
    store = store_of_worker(first, clock)
    counts = await asyncio.gather(*(add(store, TIGHT, key=f"key{n % 2}") for n in range(6)))
    assert [count.used for count in counts] == [1, 1, 2, 2, 3, 3]
    assert first.messages == 1


async def test_a_generous_limit_asks_once_and_tells_later(
    first: FirstProcess, clock: Clock
) -> None:
    store = store_of_worker(first, clock)
    counts = [await add(store, WIDE) for _ in range(100)]
    assert [count.used for count in counts] == list(range(1, 101))
    assert first.messages == 1
    first.has_counted.clear()
    await first.has_counted.wait()
    assert first.messages == 2
    assert (await add(store_of_worker(first, clock), WIDE, 0)).used == 100


async def test_a_generous_limit_is_exact_when_it_is_nearly_used_up(
    first: FirstProcess, clock: Clock
) -> None:
    one, other = store_of_worker(first, clock), store_of_worker(first, clock)
    await add(one, WIDE, GENEROUS * 3 // 4)
    await add(other, WIDE, GENEROUS // 4 - 1)
    assert (await add(one, WIDE)).remaining == 0
    assert (await add(other, WIDE)).remaining == -1


async def test_a_count_begins_anew_with_its_window(first: FirstProcess, clock: Clock) -> None:
    store = store_of_worker(first, clock)
    await add(store, WIDE, 10)
    clock.advance(WIDE.window_s)
    assert (await add(store, WIDE)).used == 1


async def test_what_was_not_told_yet_is_told_at_the_end(first: FirstProcess, clock: Clock) -> None:
    store = store_of_worker(first, clock)
    for _ in range(3):
        await add(store, WIDE)
    await store.close()
    assert isinstance(first.counters, MemoryStore)
    assert first.counters.count(WIDE.name, WIDE.window_s, "key", 0)[0] == 3


async def test_a_failure_reaches_all_that_wait(clock: Clock) -> None:
    class Gone:
        async def call(self, *_: Any) -> Any:
            raise ConnectionError

    store = SharedStore(Worker(Peers(first=Gone())), now_ms=clock.now_ms)  # type: ignore[arg-type]
    results = await asyncio.gather(add(store, TIGHT), add(store, TIGHT), return_exceptions=True)
    assert [type(result) for result in results] == [ConnectionError] * 2
