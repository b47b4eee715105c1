"""Work that failed for a reason that passes, repeated in the background until it is done."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from typing import Final

import structlog

_DELAYS_S: Final = (0, 0.5, 1, 2, 5, 10, 30)
"""Before each round; the last one again and again."""

_log = structlog.get_logger(__name__)

Job = Callable[[], Awaitable[None]]


class Retrier:
    """Jobs by key, run one after the other, in rounds. Belongs to one event loop."""

    def __init__(self) -> None:
        self._jobs: dict[Hashable, Job] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """How many jobs are not done."""
        return len(self._jobs)

    def later(self, key: Hashable, job: Job) -> None:
        """Run `job` soon, and again for as long as it raises. One with the same key is replaced."""
        self._jobs[key] = job
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    def forget(self, key: Hashable) -> None:
        """Do not run the job any more."""
        self._jobs.pop(key, None)

    async def close(self) -> None:
        """Give up on what is left; the next start finds it again."""
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
            # As soon as something succeeds, the reason may be gone for the others, too.
            rounds = 0 if done else rounds + 1
        self._task = None

    async def _run_round(self) -> bool:
        """Run every job once; whether one of them succeeded."""
        done = False
        for key, job in list(self._jobs.items()):
            if self._jobs.get(key) is not job:
                continue
            try:
                await job()
            except Exception as exc:  # noqa: BLE001 (whatever it is, it must not end the others)
                _log.warning("not mended yet, trying again", what=key, reason=str(exc))
                continue
            done = True
            if self._jobs.get(key) is job:
                del self._jobs[key]
        return done
