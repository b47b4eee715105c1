"""Retrying work in the background after temporary failures, until it succeeds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from typing import Final

import structlog

_DELAYS_S: Final = (0, 0.5, 1, 2, 5, 10, 30)
"""Delays before successive rounds; the last one repeats."""

_log = structlog.get_logger(__name__)

Job = Callable[[], Awaitable[None]]


class Retrier:
    """Runs jobs by key in rounds, one after the other. Belongs to one event loop."""

    def __init__(self) -> None:
        self._jobs: dict[Hashable, Job] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """The number of jobs that have not succeeded yet."""
        return len(self._jobs)

    def later(self, key: Hashable, job: Job) -> None:
        """Run `job` soon, and retry while it raises. It replaces a job with the same key."""
        self._jobs[key] = job
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    def forget(self, key: Hashable) -> None:
        """Cancel a job."""
        self._jobs.pop(key, None)

    async def close(self) -> None:
        """Abandon the remaining jobs; the next start finds them again."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        rounds = 0
        while self._jobs:
            await asyncio.sleep(_DELAYS_S[min(rounds, len(_DELAYS_S) - 1)])
            done = await self._run_round()
            # Once one job succeeds, the cause may be gone for the others, too.
            rounds = 0 if done else rounds + 1
        self._task = None

    async def _run_round(self) -> bool:
        """Run every job once; return whether one of them succeeded."""
        done = False
        for key, job in list(self._jobs.items()):
            if self._jobs.get(key) is not job:
                continue
            try:
                await job()
            except Exception as exc:  # noqa: BLE001 (no failure may end the other jobs)
                _log.warning("a job failed, retrying later", what=key, reason=str(exc))
                continue
            done = True
            if self._jobs.get(key) is job:
                del self._jobs[key]
        return done
