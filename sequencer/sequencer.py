"""The sequencer: assigns every event its place in the log, then publishes it.

The order is fixed when `append` is called. Events of one step of the event loop share a
transaction, and none is published before that transaction is committed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from database import retry
from database.checkpoints import Checkpointer
from database.connection import Synchronous, WriteCounts
from database.errors import DatabaseBusy, DatabaseError
from database.opening import open_database
from sequencer import told
from sequencer.events import Event, timestamp
from sequencer.frames import EncodedEvent
from sequencer.log import EventLog, OldEvents
from sequencer.ring import FrameRing
from sequencer.run_state import MAX_RAISED_SEQ, RunState
from sequencer.subscriptions import Subscriptions

_log = logging.getLogger(__name__)

_CACHE_KIB: Final = 4_000
_RETRY_MS: Final = 1_000
"""Delay between retries after a failed write, unless a new event arrives sooner."""
_DELETE_BATCH: Final = 100
"""Rows deleted per transaction; each may hold a body of a megabyte."""


class SeqTooHigh(ValueError):
    """A request to raise the log beyond `MAX_RAISED_SEQ`."""

    def __init__(self) -> None:
        super().__init__(f"No server gets to seqs above {MAX_RAISED_SEQ:,}.")


class SequencerClosed(Exception):
    """An event was appended after `close`."""


@dataclass(slots=True)
class _Waiting:
    """One call of `append` that waits for its commit."""

    events: list[EncodedEvent]
    seqs: asyncio.Future[list[int]]
    tries: int = 0
    refused: bool = False
    """Whether the caller was told that the log cannot take the events for now."""


class Sequencer:
    """The event log of one data directory. All methods belong to one event loop."""

    def __init__(
        self,
        path: Path,
        *,
        synchronous: Synchronous = "NORMAL",
        wal_autocheckpoint: int | None = 1_000,
        checkpointer: Checkpointer | None = None,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """Open or create `path`, waiting up to 5 seconds for its lock. Raises `DatabaseError`s.

        A `checkpointer` keeps checkpoints off the event loop. `now_ms` is the wall clock, in
        milliseconds since the Unix epoch.
        """
        self._db = open_database(
            path,
            cache_kib=_CACHE_KIB,
            synchronous=synchronous,
            wal_autocheckpoint=wal_autocheckpoint,
        )
        with self._db.closed_on_error():
            self.log = EventLog(self._db)
            """The committed events. Others may read it; only the sequencer writes to it."""
            self.run = RunState(self._db, self.log.latest_seq())
            """The state of this run and the previous one."""
            self._db.script(told.SCHEMA)
            highest = self.run.highest_seq(newest_ms=self.log.newest_time_ms(), now_ms=now_ms())
            last_seq = self.log.skip_to(highest)
        if checkpointer is not None and wal_autocheckpoint is not None:
            checkpointer.watch(self._db)
        # From here on, retries on the event loop replace the blocking busy timeout.
        self._db.connection.set_busy_timeout(0)
        self.ring = FrameRing(last_seq)
        self.now_ms = now_ms
        self._queue: list[_Waiting] = []
        self._flush_at: asyncio.Handle | None = None
        self._listeners: list[Callable[[], None]] = []
        self._observers: list[Callable[[Event], None]] = []
        self._closed = False
        self.events_by_type: Counter[str] = Counter()
        """Events committed since the start."""
        self.subscriptions = Subscriptions()

    @property
    def current_seq(self) -> int:
        """The newest committed seq; 0 for a new log."""
        return self.ring.last_seq

    @property
    def is_behind(self) -> bool:
        """Whether the queue holds events that the log has refused before."""
        return bool(self._queue) and self._queue[0].refused

    @property
    def waiting_events(self) -> int:
        """The number of events appended but not yet committed."""
        return sum(len(waiting.events) for waiting in self._queue)

    @property
    def write_counts(self) -> WriteCounts:
        """The counts of the log's write transactions."""
        return self._db.counts

    def skip_to(self, seq: int) -> None:
        """Like `raise_to`, but without a limit and without waiting for a lock."""
        if seq <= self.current_seq:
            return
        self.run.reserve(seq + 1)
        latest = self.log.skip_to(seq)
        # The jump must not cut off subscribers as too slow.
        self.subscriptions.all_have_to_catch_up()
        self.ring.skip_to(latest)

    async def raise_to(self, seq: int) -> None:
        """Assign only seqs above `seq` from now on, even after a power failure.

        Does nothing if `seq` is not ahead of the log. Raises `SeqTooHigh`, and `DatabaseError`,
        with `DatabaseBusy` after about 5 seconds.
        """
        if seq > MAX_RAISED_SEQ:
            raise SeqTooHigh
        await retry.when_free(lambda: self.skip_to(seq))

    def mark_running(self) -> None:
        """Record durably that any stop before `mark_stopped` is unclean."""
        self.run.mark_running(self.current_seq)

    def mark_stopped(self) -> None:
        """Record a clean stop: every commit has its event, and `append()` has been awaited."""
        self.run.mark_stopped(self.current_seq, now_ms=self.now_ms())

    def append(self, *events: Event) -> asyncio.Future[list[int]]:
        """Queue `events` after all earlier ones; they stay together.

        The future resolves with their seqs once they are committed, or with the `DatabaseError`
        that prevents it, `DatabaseBusy` after about 5 seconds. Neither an error nor cancellation
        withdraws the events: they describe what has happened, so they stay in the queue until the
        log accepts them. Without events, it resolves like the calls before it. Raises
        `SequencerClosed`.
        """
        for observe in self._observers:
            for event in events:
                observe(event)
        return self.append_encoded([event.encode() for event in events])

    def append_encoded(self, events: list[EncodedEvent]) -> asyncio.Future[list[int]]:
        """Append like `append`, for events of another process, which no observer sees."""
        if self._closed:
            raise SequencerClosed
        loop = asyncio.get_running_loop()
        waiting = _Waiting(events, loop.create_future())
        if self._queue and self._queue[-1].refused:
            self._cancel_flush()  # All have been refused; the disk may have room again by now.
        self._queue.append(waiting)
        if self._flush_at is None:
            self._flush_at = loop.call_soon(self._flush)
        return waiting.seqs

    def on_append(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every commit of events; it must be quick and not raise."""
        self._listeners.append(listener)

    def on_event(self, observer: Callable[[Event], None]) -> None:
        """Call `observer` with every event as it is queued; it must be quick and not raise.

        The event of a commit is queued in the step of the event loop that makes the commit.
        """
        self._observers.append(observer)

    async def follow(self) -> None:
        """Make the newest seq known, which it always is where the log is written."""

    async def delete_events_of(self, did: str, *, keep_seq: int) -> None:
        """Delete the events of `did` except `keep_seq`, the one that announces its deletion."""
        deleted = _DELETE_BATCH
        while deleted == _DELETE_BATCH:
            deleted = await retry.write(
                self._db,
                lambda: self.log.delete_some_of(did, keep_seq=keep_seq, limit=_DELETE_BATCH),
            )
            self.ring.clear()
            await asyncio.sleep(0)

    async def delete_oldest(self, old: OldEvents) -> int:
        """Delete the oldest events of the log; return how many: 0 if others are the oldest now."""
        return await retry.write(self._db, lambda: self.log.delete_oldest(old))

    async def close(self) -> None:
        """Commit the queue, end every subscription and close the file. Idempotent."""
        if self._closed:
            return
        drained = self.append()
        self._closed = True
        with suppress(DatabaseError):
            await drained
        self._cancel_flush()
        self.ring.close()
        self._db.close()

    def _flush(self) -> None:
        """Commit the queue as one transaction, publish it and resolve its futures."""
        self._flush_at = None
        events = [event for waiting in self._queue for event in waiting.events]
        try:
            first_seq = self._commit(events)
        except DatabaseBusy as exc:
            self._wait_for_lock(exc)
            return
        except DatabaseError as exc:
            self._retry_later(exc)
            return
        except Exception as exc:  # noqa: BLE001 - the waiting calls must learn of any error
            queue, self._queue = self._queue, []
            _fail(queue, exc)
            return
        queue, self._queue = self._queue, []
        for waiting in queue:
            following = first_seq + len(waiting.events)
            if not waiting.seqs.done():
                waiting.seqs.set_result(list(range(first_seq, following)))
            first_seq = following
        if events:
            self._tell_listeners()

    def _commit(self, events: list[EncodedEvent]) -> int:
        """Store and publish `events`; return the seq of the first."""
        if not events:
            return self.current_seq + 1
        # Reserve first: a power failure may undo the events, but not the reservation.
        self.run.reserve(self.current_seq + len(events))
        sequenced_at = timestamp(self.now_ms())
        first_seq = self.log.insert(events, sequenced_at)
        frames = [
            event.frame(seq, sequenced_at) for seq, event in enumerate(events, start=first_seq)
        ]
        self.ring.publish(first_seq, frames)
        self.events_by_type.update(event.event_type for event in events)
        return first_seq

    def _wait_for_lock(self, busy: DatabaseBusy) -> None:
        """Flush the queue again soon, but fail the calls that have waited too long."""
        for waiting in self._queue:
            waiting.tries += 1
        # The first calls in the queue have waited longest.
        patient = [waiting for waiting in self._queue if waiting.tries <= len(retry.DELAYS_MS)]
        if not patient:
            self._retry_later(busy)
            return
        _fail(self._queue[: len(self._queue) - len(patient)], busy)
        self._flush_after(retry.DELAYS_MS[patient[0].tries - 1])

    def _retry_later(self, error: DatabaseError) -> None:
        """Fail all waiting calls, but keep their events until the disk has room again."""
        _log.error("%d events wait for the log: %s", len(self._queue), error)
        # A call without events has nothing to keep.
        _fail(self._queue, error)
        self._queue = [waiting for waiting in self._queue if waiting.events]
        if self._queue:
            self._flush_after(_RETRY_MS)

    def _cancel_flush(self) -> None:
        if self._flush_at is not None:
            self._flush_at.cancel()
            self._flush_at = None

    def _flush_after(self, delay_ms: int) -> None:
        self._flush_at = asyncio.get_running_loop().call_later(delay_ms / 1000, self._flush)

    def _tell_listeners(self) -> None:
        for listener in self._listeners:
            try:
                listener()
            except Exception:  # noqa: BLE001 - the events are committed, even if a listener fails
                _log.exception("a sequencer listener failed")


def _fail(queue: list[_Waiting], exc: Exception) -> None:
    for waiting in queue:
        waiting.refused = True
        if not waiting.seqs.done():
            waiting.seqs.set_exception(exc)
