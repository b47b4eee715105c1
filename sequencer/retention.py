"""Deleting the oldest events, in steps so small that nobody notices, while the server runs.

Each step finds some events in a thread, which also reads the pages that are about to change, and
deletes them on the event loop, where the log is written. What they had told of each DID is kept:
see `sequencer.told`. Their seqs are never given out again, since the newest event always stays.
SQLite puts new events where deleted ones were, so the file stops growing, and does not shrink.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from database.connection import Database
from database.errors import DatabaseError
from database.opening import open_database
from sequencer.events import timestamp
from sequencer.log import PAGE_BYTES, OldEvents
from sequencer.sequencer import Sequencer
from sequencer.told import collect

MIN_AGE_S: Final = 60 * 60.0
"""The age below which no event is deleted for its size: recovery after a crash and the replication
need the last minutes, and consumers some time to come back."""
_FIRST_S: Final = 30.0
_EVERY_S: Final = 60.0
_MOST: Final = 128
"""Events deleted per step; fewer if they are large, or if a step has taken longer than `_LONG_S`.
"""
_LONG_S: Final = 0.002
_REST_FACTOR: Final = 4
"""The pause after each step, as a multiple of the step's time on the event loop."""
_REST_S: Final = 0.05
"""The pause at least: every step writes up to half a megabyte to the WAL, which has to be brought
into the file, and to the replica, before it is long."""
_OLDEST: Final = (
    "SELECT seq, did, eventType, event, invalidated, sequencedAt FROM repo_seq"
    " WHERE seq < (SELECT max(seq) FROM repo_seq) ORDER BY seq LIMIT ?"
)
# The other two indexes have the oldest events side by side, but this one has them anywhere.
_TOUCH: Final = "SELECT 1 FROM repo_seq INDEXED BY repo_seq_did_idx WHERE did = ? AND seq = ?"
_USED_BYTES: Final = (
    "SELECT (page_count - freelist_count) * page_size"
    " FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
)

_log = logging.getLogger(__name__)


@dataclass(slots=True, frozen=True)
class KeptEvents:
    """Which events are kept; others are deleted."""

    age_s: float | None = None
    """How old they may be; None for no limit."""
    size_bytes: int | None = None
    """The space that the log may use in its file; None for no limit. Newer ones than `MIN_AGE_S`
    are kept in any case."""


class Retention:
    """Deletes the events that are not to be kept. Belongs to the event loop of the sequencer."""

    def __init__(
        self,
        sequencer: Sequencer,
        path: Path,
        kept: KeptEvents,
        *,
        is_checkpointing: Callable[[], bool] = lambda: False,
        rest_s: float = _REST_S,
    ) -> None:
        """`path` is the file of the log, which is read in a thread.

        While `is_checkpointing`, nothing is deleted: a WAL that is written to all the time is never
        emptied, and in the end checkpointed by the event loop. `rest_s` is the least pause.
        """
        self._sequencer = sequencer
        self._path = path
        self._kept = kept
        self._is_checkpointing = is_checkpointing
        self._rest_s = rest_s
        self._rows = _MOST
        self._started_ms = sequencer.now_ms() - time.monotonic() * 1000
        self._task: asyncio.Task[None] | None = None
        self.deleted = 0
        """Events deleted since the start."""

    def start(self) -> None:
        """Delete events from now on, until `close`; nothing happens if all are kept."""
        if self._kept != KeptEvents():
            self._task = asyncio.get_running_loop().create_task(self._go_on())

    async def close(self) -> None:
        """Stop deleting. Closing twice is harmless."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait((task,))

    async def sweep(self) -> int:
        """Delete what is not to be kept now; return how many events. Raises `DatabaseError`."""
        before = self.deleted
        while (old := await asyncio.to_thread(self._find)) is not None:
            took_s = await self._delete(old)
            await asyncio.sleep(max(self._rest_s, _REST_FACTOR * took_s))
            while self._is_checkpointing():  # noqa: ASYNC110 (in a thread, which tells nobody)
                await asyncio.sleep(_REST_S)
        return self.deleted - before

    async def _go_on(self) -> None:
        await asyncio.sleep(_FIRST_S)
        while True:
            try:
                deleted = await self.sweep()
            except DatabaseError as exc:
                _log.warning("old events were not deleted: %s", exc)
            else:
                if deleted:
                    _log.info("deleted %d old events", deleted)
            await asyncio.sleep(_EVERY_S)

    async def _delete(self, old: OldEvents) -> float:
        """Delete events; return for how many seconds the event loop was busy with it."""
        started_s = time.perf_counter()
        self.deleted += await self._sequencer.delete_oldest(old)
        took_s = time.perf_counter() - started_s
        self._rows = max(1, self._rows // 2) if took_s > _LONG_S else min(_MOST, self._rows + 8)
        return took_s

    def _find(self) -> OldEvents | None:
        """Return the next events to delete; None if all are to be kept."""
        db = open_database(self._path, read_only=True)
        try:
            with db.snapshot():
                return self._read(db, self._before(db))
        finally:
            db.close_at_once()

    def _read(self, db: Database, before: str) -> OldEvents | None:
        """Return the oldest events of those before a time (ISO 8601)."""
        told = []
        last_seq, count, size = 0, 0, 0
        for seq, did, event_type, body, invalidated, at in db.iter(_OLDEST, (self._rows,)):
            if at >= before or (count and size + len(body) > PAGE_BYTES):
                break
            last_seq, count, size = seq, count + 1, size + len(body)
            if not invalidated:
                told.append((did, event_type, body))
            db.value(_TOUCH, (did, seq))
        return OldEvents(last_seq, count, collect(told)) if count else None

    def _before(self, db: Database) -> str:
        """Return the time before which events are deleted now."""
        ages_s = [] if self._kept.age_s is None else [self._kept.age_s]
        size_bytes = self._kept.size_bytes
        if size_bytes is not None and db.value(_USED_BYTES) > size_bytes:
            ages_s.append(MIN_AGE_S)
        if not ages_s:
            return ""
        return timestamp(max(0, int(self._now_ms() - 1000 * min(ages_s))))

    def _now_ms(self) -> float:
        """Return the time by the clock at start or by the clock now, whichever is earlier.

        For a clock that is ahead for a moment, all events would be old.
        """
        return min(self._sequencer.now_ms(), self._started_ms + time.monotonic() * 1000)
