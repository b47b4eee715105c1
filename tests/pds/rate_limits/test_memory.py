"""Counters in memory: windows that open with the first hit, and bounds that nobody gains by."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pds.rate_limits.limit import Limit, by_ip
from pds.rate_limits.memory import MemoryStore
from pds.rate_limits.store import Count, Hit
from tests.pds.rate_limits.conftest import Clock

LIMIT = Limit("logins", 30, 300, by_ip)
OTHER = Limit("mails", 5, 3600, by_ip)


async def add(store: MemoryStore, key: str, points: int = 1, limit: Limit = LIMIT) -> Count:
    counts = await store.add([Hit(limit, key, points)])
    assert counts is not None
    return counts[0]


async def used(store: MemoryStore, key: str) -> int:
    return (await add(store, key)).used


async def test_a_window_opens_with_the_first_hit_and_is_not_prolonged(clock: Clock) -> None:
    store = MemoryStore(now_ms=clock.now_ms)
    assert await add(store, "a", 3) == Count(LIMIT, 3, 300_000)
    clock.advance(299.999)
    assert await add(store, "a", 2) == Count(LIMIT, 5, 1)
    clock.advance(0.001)
    assert await add(store, "a", 4) == Count(LIMIT, 4, 300_000)


async def test_limits_and_keys_are_counted_apart(clock: Clock) -> None:
    store = MemoryStore(now_ms=clock.now_ms)
    hits = [Hit(LIMIT, "a", 1), Hit(OTHER, "a", 2), Hit(LIMIT, "b", 3), Hit(LIMIT, "a", 4)]
    counts = await store.add(hits)
    assert counts is not None
    assert [(count.limit, count.used) for count in counts] == [
        (LIMIT, 1),
        (OTHER, 2),
        (LIMIT, 3),
        (LIMIT, 5),
    ]


async def test_the_number_of_counters_is_bounded(clock: Clock) -> None:
    store = MemoryStore(max_keys=100, now_ms=clock.now_ms)
    for number in range(1000):
        await add(store, str(number))
        assert len(store) <= 100


async def test_counters_that_have_ended_make_room(clock: Clock) -> None:
    store = MemoryStore(max_keys=10_000, now_ms=clock.now_ms)
    for number in range(5000):
        await add(store, str(number))
        clock.advance(1)
    # 300 are running; those that have ended are looked for when there are twice as many, or 1024.
    assert len(store) <= 1024


@pytest.mark.parametrize("names", [150, 1000])
async def test_coming_under_many_names_does_not_reset_a_count(clock: Clock, names: int) -> None:
    store = MemoryStore(max_keys=100, now_ms=clock.now_ms)
    for _ in range(20):
        await add(store, "victim")
    for number in range(names):
        await add(store, f"name {number}")
    assert await used(store, "victim") >= 21


async def test_not_even_with_names_that_are_hit_as_often(clock: Clock) -> None:
    store = MemoryStore(max_keys=8, now_ms=clock.now_ms)
    for _ in range(5):
        await add(store, "victim")
    for number in range(100):
        await add(store, f"name {number}", 9)
    assert await used(store, "victim") >= 6


async def test_bystanders_suffer_only_while_the_attack_is_new(clock: Clock) -> None:
    store = MemoryStore(max_keys=100, now_ms=clock.now_ms)
    for number in range(1000):
        await add(store, f"name {number}")
    # At most one point for each time that the table was filled.
    assert 1 < await used(store, "bystander") <= 11
    clock.advance(300)
    assert await used(store, "newcomer") == 1


hits = st.lists(
    st.tuples(st.integers(0, 30), st.integers(1, 4), st.sampled_from([0, 0, 0, 1, 60, 300])),
    max_size=300,
)


@given(hits, st.integers(1, 12))
async def test_no_count_is_ever_too_low(
    sequence: list[tuple[int, int, int]], max_keys: int
) -> None:
    """Against a model that forgets nothing before its window ends."""
    clock = Clock()
    store = MemoryStore(max_keys=max_keys, now_ms=clock.now_ms)
    true: Counter[int] = Counter()
    ends: dict[int, int] = {}
    for key, points, pause_s in sequence:
        clock.advance(pause_s)
        if ends.get(key, 0) <= clock.ms:
            true[key], ends[key] = 0, clock.ms + 300_000
        true[key] += points
        count = await add(store, str(key), points)
        assert count.used >= true[key]
        assert len(store) <= max_keys
