"""Slices of the event loop: one holder's piece of work in each of its rounds, and all in turn."""

from __future__ import annotations

import asyncio
from collections import deque


class Slices:
    """Lets one of many long jobs do its next piece in every round of the event loop.

    For work that never waits by itself, such as reading a log and sending it on: a hundred such
    jobs take as much of each round as one. The holders have their turns one after another, and so
    have the jobs of each, so a holder with a hundred jobs delays another by one piece. Nothing is
    held: a job that waits for its client just does not ask for the next slice.
    """

    def __init__(self) -> None:
        # In the order in which their turns come.
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._is_running = False

    async def next(self, holder: str) -> None:
        """Wait for a slice. It lasts until the caller next waits for something."""
        loop = asyncio.get_running_loop()
        granted = loop.create_future()
        self._waiting.setdefault(holder, deque()).append(granted)
        if not self._is_running:
            self._is_running = True
            loop.call_soon(self._grant)
        await granted

    def _grant(self) -> None:
        """Let one go on, and see to the next in the round after that."""
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
