"""Many items, a few at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from pds.replication.copies.at_once import for_each_found


class Finder:
    """Finds numbers, and knows how far it has come."""

    def __init__(self, *, fails_at: int | None = None) -> None:
        self.fails_at = fails_at
        self.found = 0
        self.is_closed = False

    async def find(self) -> AsyncGenerator[int, None]:
        try:
            for number in range(100):
                if number == self.fails_at:
                    raise LookupError("no more")
                self.found += 1
                yield number
        finally:
            self.is_closed = True


async def test_all_that_is_found_is_worked_on_a_few_at_a_time() -> None:
    finder, done = Finder(), set[int]()
    running = most = most_ahead = 0

    async def work(number: int) -> None:
        nonlocal running, most, most_ahead
        running += 1
        most, most_ahead = max(most, running), max(most_ahead, finder.found - len(done))
        await asyncio.sleep(0)
        running -= 1
        done.add(number)

    await for_each_found(finder.find(), work, at_once=3)
    assert (done, most) == (set(range(100)), 3)
    # Those that are worked on, as many that wait, and one that finds no room.
    assert most_ahead <= 7


async def test_a_failure_of_one_ends_the_others_and_the_search() -> None:
    finder = Finder()
    ended = list[int]()

    async def work(number: int) -> None:
        if number == 5:
            raise LookupError("the fifth")
        try:
            await asyncio.Event().wait() if number > 2 else await asyncio.sleep(0)
        except asyncio.CancelledError:
            ended.append(number)
            raise

    with pytest.raises(LookupError, match="the fifth"):
        await for_each_found(finder.find(), work, at_once=3)
    assert (ended, finder.is_closed) == ([3, 4], True)


async def test_a_failure_of_the_search_ends_the_work() -> None:
    finder = Finder(fails_at=2)

    async def work(_number: int) -> None:
        await asyncio.Event().wait()

    with pytest.raises(LookupError, match="no more"):
        await for_each_found(finder.find(), work, at_once=3)
    assert finder.is_closed
