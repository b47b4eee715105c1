"""Finding out which actors have changed, all the time: from the event log, and by sweeps."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog

from database.errors import DatabaseError
from pds.replication.changes.file_sweep import FileSweep, Found
from pds.replication.changes.log_follower import LogFollower

if TYPE_CHECKING:
    from pathlib import Path

    from pds.replication.ledger.ledger import Ledger
    from pds.replication.syncing.dirty_queue import DirtyQueue
    from pds.replication.syncing.hot_set import HotSet

_AFTER_ERROR_S: Final = 2.0
_JUMP_S: Final = 1.0
"""By how much the clock has to be set back for anybody to notice."""

_log = structlog.get_logger(__name__)


class Watcher:
    """Marks what has changed in the queue."""

    def __init__(
        self,
        *,
        log: Path,
        actors_directory: Path,
        ledger: Ledger,
        queue: DirtyQueue,
        hot: HotSet,
        poll_s: float,
        sweep_interval_s: float,
    ) -> None:
        """Watch the event log `log` and the stores below `actors_directory`."""
        self._ledger = ledger
        self._queue = queue
        self._poll_s = poll_s
        self._sweep_interval_s = sweep_interval_s
        self._follower = LogFollower(log)
        self._sweep = FileSweep(
            actors_directory,
            rows=ledger.actors.in_shard,
            open_inode=hot.inode_of,
            report=self._mark_found,
        )
        self._cursor = ledger.state.cursor
        self._sweep_now = asyncio.Event()
        self.events = 0
        self.sweeps = 0
        self.last_sweep_s: float | None = None
        """When the last sweep ended, in Unix seconds."""
        self.error: str | None = None
        """Why changes cannot be found now; None if they can."""

    async def follow(self) -> None:
        """Follow the event log, until cancelled."""
        behind_s = time.monotonic() - time.time()
        try:
            while True:
                # Set back by more than a moment: nobody is to wait for the time it was before.
                now_behind_s = time.monotonic() - time.time()
                try:
                    if now_behind_s > behind_s + _JUMP_S:
                        await self._queue.after_clock_jump()
                    more = await self.look_at_log()
                except DatabaseError as exc:
                    self._note(f"the ledger cannot be written: {exc}")
                    await asyncio.sleep(_AFTER_ERROR_S)
                    continue
                behind_s = now_behind_s
                await asyncio.sleep(0 if more else self._poll_s)
        finally:
            self._follower.close()

    async def look_at_log(self) -> bool:
        """Mark what the log says that is new; return whether there may be more.

        Raises `DatabaseError`s of the ledger.
        """
        found = self._follower.read(self._cursor)
        if found is None:
            return False
        await self._queue.mark(found.changed, cursor=found.cursor)
        self._cursor = found.cursor
        self.events += found.events
        if found.may_lack:
            _log.info("the event log lacks events or is another one: looking at all files")
            self._sweep_now.set()
        return found.is_full

    async def sweep(self) -> None:
        """Look at all files, again and again, until cancelled."""
        while True:
            self._sweep_now.clear()
            started_s = time.monotonic()
            try:
                await self.sweep_once()
            except (OSError, DatabaseError) as exc:
                self._note(f"cannot look at the actors' files: {exc}")
            rest_s = self._sweep_interval_s - (time.monotonic() - started_s)
            with suppress(TimeoutError):
                async with asyncio.timeout(max(rest_s, 0.0)):
                    await self._sweep_now.wait()

    async def sweep_once(self, *, within_s: float | None = None) -> int:
        """Look at all files once; return how many actors there are.

        This takes a part of `within_s`, by default of the interval. Raises `OSError` and
        `DatabaseError`s.
        """
        present = await self._sweep.run(self._sweep_interval_s if within_s is None else within_s)
        self.sweeps += 1
        self.last_sweep_s = time.time()
        self.error = None
        return present

    async def _mark_found(self, found: Found) -> None:
        if found.new:
            await self._queue.add(found.new)
        now_ms = self._queue.now_ms
        changed = {did: seen.changed_ms for did, seen in found.changed}
        changed.update(dict.fromkeys(found.replaced + found.gone, now_ms))
        if changed:
            await self._queue.mark(changed)

    @property
    def log_error(self) -> str | None:
        """Why the event log cannot be read now."""
        return self._follower.last_error

    def _note(self, error: str) -> None:
        if self.error != error:
            _log.warning("changes cannot be found", reason=error)
        self.error = error
