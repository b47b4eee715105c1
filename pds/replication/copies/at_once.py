"""Doing something for each of many items, a few at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
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

    workers = [asyncio.create_task(take()) for _ in range(at_once)]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
