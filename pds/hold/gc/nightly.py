"""Automatic garbage collection, once a day, if the operator has switched it on."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import structlog

from pds.hold.gc.collector import GcOptions
from pds.hold.repeating import end

if TYPE_CHECKING:
    from pds.hold.gc.collector import GarbageCollector, GcCounts

_FIRST_S: Final = 60 * 60.0
_EVERY_S: Final = 24 * 60 * 60.0
_REST_S: Final = 0.5
"""Between two pages: nobody waits for it."""
_OPTIONS: Final = GcOptions(delete=True, check_manifests=True)

_log = structlog.get_logger(__name__)


class NightlyGc:
    """Collects garbage an hour after the start, and every day after that."""

    def __init__(self, gc: GarbageCollector, *, first_s: float = _FIRST_S) -> None:
        self._gc = gc
        self._first_s = first_s
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to wait."""
        self._tasks.append(asyncio.get_running_loop().create_task(self._go_on()))

    async def close(self) -> None:
        """Stop, in the middle of a run if there is one."""
        await end(self._tasks)

    async def _go_on(self) -> None:
        await asyncio.sleep(self._first_s)
        while True:
            try:
                done = await self._gc.run(_OPTIONS, progress=_rest)
            except Exception as exc:  # noqa: BLE001 (tomorrow is another day)
                _log.warning("garbage was not collected", reason=str(exc))
            else:
                if done.unresolved:
                    _log.warning("no garbage is deleted: unknown configs", count=done.unresolved)
                _log.info("collected garbage", **asdict(done.counts))
            await asyncio.sleep(_EVERY_S)


async def _rest(_counts: GcCounts) -> None:
    await asyncio.sleep(_REST_S)
