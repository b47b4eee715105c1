"""Large work: in one thread, one after another, and forgotten at its end."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import AsyncIterator

import pytest

from pds.fairness.large_work import LargeWork


class Value:
    """Something that can be watched going."""


@pytest.fixture
async def work() -> AsyncIterator[LargeWork]:
    work = LargeWork()
    yield work
    await asyncio.to_thread(work.close)


async def test_large_work_is_done_one_at_a_time_beside_the_event_loop(work: LargeWork) -> None:
    running, most = 0, 0

    def job() -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        running -= 1
        return threading.get_ident()

    threads = await asyncio.gather(*(work.run(job, f"client {number}") for number in range(20)))
    assert most == 1
    assert len(set(threads)) == 1
    assert threading.get_ident() not in threads


async def test_collector_rests_until_a_turn_ends(work: LargeWork) -> None:
    async with work.turn("client") as turn:
        assert await turn.run(gc.isenabled) is False
        await turn.end()
        assert gc.isenabled()
        await turn.end()
    assert gc.isenabled()


async def test_ended_turn_lets_the_next_one_begin(work: LargeWork) -> None:
    async with work.turn("one") as first:
        await first.end()
        async with work.turn("two") as second:
            assert await second.run(lambda: 2) == 2


async def test_an_error_keeps_no_value_of_the_work(work: LargeWork) -> None:
    gone: list[weakref.ref[Value]] = []

    def fail() -> None:
        value = Value()
        gone.append(weakref.ref(value))
        try:
            raise KeyError("a fault within")
        except KeyError as exc:
            raise ValueError("a fault") from exc

    with pytest.raises(ValueError, match="a fault") as caught:
        await work.run(fail, "client")
    assert caught.value.__traceback__ is not None
    assert gone[0]() is None
