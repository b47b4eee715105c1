"""Doing something for each of many items, a few at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable
from contextlib import aclosing
from typing import TypeVar

T = TypeVar("T")


async def for_each(
    items: Iterable[T], work: Callable[[T], Awaitable[None]], *, at_once: int
) -> None:
    """Await `work` for every item, `at_once` of them at a time.

    The first exception is raised, after all that was under way has been cancelled.
    """
    left = iter(items)

    async def take() -> None:
        for item in left:
            await work(item)

    await _all(take() for _ in range(at_once))


async def for_each_found(
    items: AsyncGenerator[T, None], work: Callable[[T], Awaitable[None]], *, at_once: int
) -> None:
    """Like `for_each`, for items that take time to find: a few more are found meanwhile."""
    found: asyncio.Queue[T | None] = asyncio.Queue(at_once)

    async def find() -> None:
        async with aclosing(items):
            async for item in items:
                await found.put(item)
        for _ in range(at_once):
            await found.put(None)

    async def take() -> None:
        while (item := await found.get()) is not None:
            await work(item)

    await _all([find(), *(take() for _ in range(at_once))])


async def _all(jobs: Iterable[Coroutine[None, None, None]]) -> None:
    tasks = [asyncio.create_task(job) for job in jobs]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
