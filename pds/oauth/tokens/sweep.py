"""Removing sessions that are over, now and then, for as long as the server runs."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

import structlog

from database.connection import Database
from database.errors import DatabaseError
from database.retry import write
from database.timestamps import Clock
from pds.oauth.tokens.lifetimes import LONG
from pds.oauth.tokens.rows import TokenRows

_FIRST_S: Final = 5 * 60.0
_EVERY_S: Final = 24 * 60 * 60.0
_EXAMINED_AT_ONCE: Final = 500

_log = structlog.get_logger(__name__)


class SessionSweep:
    """Removes sessions that no token can continue, every day. Belongs to one event loop."""

    def __init__(
        self,
        db: Database,
        *,
        clock: Clock,
        first_s: float = _FIRST_S,
        every_s: float = _EVERY_S,
    ) -> None:
        """Begin `first_s` seconds after the start."""
        self._db = db
        self._rows = TokenRows(db)
        self._clock = clock
        self._first_s = first_s
        self._every_s = every_s
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Sweep periodically, until `close`."""
        self._task = asyncio.get_running_loop().create_task(self._go_on())

    async def close(self) -> None:
        """Stop sweeping. Closing twice is harmless."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait((task,))

    async def sweep(self) -> int:
        """Sweep once, in small steps; return how many sessions were removed."""
        now_s = self._clock()
        removed = 0
        for ids in self._rows.iter_outdated(
            created_before_s=now_s - LONG.session_s,
            updated_before_s=now_s - LONG.idle_s,
            rows=_EXAMINED_AT_ONCE,
        ):
            for row_id in ids:
                await write(self._db, partial(self._rows.delete, row_id))
                removed += 1
                await asyncio.sleep(0)
            await asyncio.sleep(0)
        return removed

    async def _go_on(self) -> None:
        await asyncio.sleep(self._first_s)
        while True:
            try:
                removed = await self.sweep()
            except DatabaseError as exc:
                _log.warning("OAuth sessions were not swept", reason=str(exc))
            else:
                if removed:
                    _log.info("removed OAuth sessions that were over", sessions=removed)
            await asyncio.sleep(self._every_s)
