"""A client who means no harm, and what it notices of those who do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Neighbour:
    """How long each of its requests has taken, in seconds, and those that failed."""

    took_s: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    """Set whenever a request is done."""

    @property
    def slowest_s(self) -> float:
        """The longest of the requests that are done."""
        return max(self.took_s)

    @property
    def median_s(self) -> float:
        """The median of the requests that are done."""
        return sorted(self.took_s)[len(self.took_s) // 2]

    async def has_asked(self, times: int, *, within_s: float = 60.0) -> None:
        """Wait until so many of the requests are done. Raises `TimeoutError`."""
        async with asyncio.timeout(within_s):
            while len(self.took_s) < times:
                self.asked.clear()
                await self.asked.wait()


@asynccontextmanager
async def neighbour(
    ask: Callable[[], Awaitable[object]], *, pause_s: float = 0.02
) -> AsyncIterator[Neighbour]:
    """Call `ask` again and again during an `async with` block. It raises if the answer is wrong."""
    seen = Neighbour()

    async def live() -> None:
        while True:
            started = time.monotonic()
            try:
                await ask()
            except Exception as exc:  # noqa: BLE001 (whatever it is, the neighbour suffered)
                seen.failures.append(repr(exc))
            finally:
                seen.took_s.append(time.monotonic() - started)
                seen.asked.set()
            await asyncio.sleep(pause_s)

    task = asyncio.create_task(live())
    try:
        yield seen
    finally:
        # The request under way counts: it may be the one that takes longest.
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
