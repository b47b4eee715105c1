"""Time slices of the event loop: one holder's piece of work per iteration, round robin."""

from __future__ import annotations

import asyncio
from collections import deque


class Slices:
    """Lets one of many long jobs do its next piece in every iteration of the event loop.

    For work that never suspends by itself, such as reading a log and sending it: a hundred such
    jobs take as much of each iteration as one. Holders take turns, and so do the jobs of each
    holder, so a holder with a hundred jobs delays another by one piece. Slices are not held: a job
    that waits for its client simply does not request the next one.
    """

    def __init__(self) -> None:
        # In the order of their turns.
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._is_running = False

    async def next(self, holder: str) -> None:
        """Wait for a slice. It lasts until the caller's next await."""
        loop = asyncio.get_running_loop()
        granted = loop.create_future()
        self._waiting.setdefault(holder, deque()).append(granted)
        if not self._is_running:
            self._is_running = True
            loop.call_soon(self._grant)
        await granted

    def _grant(self) -> None:
        """Grant one slice, and schedule the next for the following iteration."""
        while self._waiting:
            holder = next(iter(self._waiting))
            jobs = self._waiting.pop(holder)
            granted = jobs.popleft()
            if jobs:
                self._waiting[holder] = jobs
            if not granted.done():
                granted.set_result(None)
                asyncio.get_running_loop().call_soon(self._grant)
                return
        self._is_running = False
