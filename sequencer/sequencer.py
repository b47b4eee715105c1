"""The sequencer: assigns every event its place in the log, then publishes it.

The order is fixed when `append` is called. Events of one step of the event loop share a
transaction, and none is published before that transaction is committed and, with it, everything
that was committed before is durable.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from database import retry
from database.checkpoints import Checkpointer
from database.connection import WriteCounts
from database.durability import EVENTUAL, Durability
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
OF_STORES: Final = ("append", "sync")
"""Types of the events that tell what a store has."""
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


@dataclass(slots=True)
class _Committed:
    """The events of one transaction, which are not published yet."""

    first_seq: int
    events: Sequence[EncodedEvent]
    sequenced_at: str
    waiting: Sequence[_Waiting]


class Sequencer:
    """The event log of one data directory. All methods belong to one event loop."""

    def __init__(
        self,
        path: Path,
        *,
        durability: Durability = EVENTUAL,
        wal_autocheckpoint: int | None = 1_000,
        checkpointer: Checkpointer | None = None,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """Open or create `path`, waiting up to 5 seconds for its lock. Raises `DatabaseError`s.

        `durability` says when events may be published. A `checkpointer` keeps checkpoints off the
        event loop. `now_ms` is the wall clock, in milliseconds since the Unix epoch.
        """
        self._db = open_database(
            path,
            cache_kib=_CACHE_KIB,
            wal_autocheckpoint=wal_autocheckpoint,
            durability=durability,
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
        self._durability = durability
        self._last_seq = last_seq
        """The newest committed seq."""
        self._unpublished: deque[_Committed] = deque()
        self._withheld: dict[str, DatabaseError] = {}
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
        """The newest published seq; 0 for a new log."""
        return self.ring.last_seq

    @property
    def is_behind(self) -> bool:
        """Whether the log has refused events, and has not taken them since."""
        return (bool(self._queue) and self._queue[0].refused) or self.failure is not None

    @property
    def failure(self) -> DatabaseError | None:
        """The error after which nothing is known of the log, and no event is published."""
        return self._durability.failure_of(self._db.path)

    @property
    def waiting_events(self) -> int:
        """The number of events appended but not yet published."""
        committed = sum(len(committed.events) for committed in self._unpublished)
        return committed + sum(len(waiting.events) for waiting in self._queue)

    @property
    def write_counts(self) -> WriteCounts:
        """The counts of the log's write transactions."""
        return self._db.counts

    def skip_to(self, seq: int) -> None:
        """Like `raise_to`, but without a limit and without waiting for a lock."""
        if seq <= self._last_seq:
            return
        self.run.reserve(seq + 1)
        self._last_seq = latest = self.log.skip_to(seq)
        self._durability.when_durable(partial(self._show_skipped, latest))

    async def raise_to(self, seq: int) -> None:
        """Assign only seqs above `seq` from now on, even after a power failure.

        Does nothing if `seq` is not ahead of the log. Raises `SeqTooHigh`, and `DatabaseError`,
        with `DatabaseBusy` after about 5 seconds.
        """
        if seq > MAX_RAISED_SEQ:
            raise SeqTooHigh
        await retry.when_free(lambda: self.skip_to(seq))
        # Behind whatever is to be published before.
        await self.append()

    def mark_running(self) -> None:
        """Record durably that any stop before `mark_stopped` is unclean."""
        self.run.mark_running(self._last_seq)

    def mark_stopped(self) -> None:
        """Record a clean stop: every commit has its event, and `append()` has been awaited."""
        self.run.mark_stopped(self._last_seq, now_ms=self.now_ms())

    def append(self, *events: Event) -> asyncio.Future[list[int]]:
        """Queue `events` after all earlier ones; they stay together.

        The future resolves with their seqs once they are published, or with the `DatabaseError`
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
        """Call `listener` whenever events are published; it must be quick and not raise."""
        self._listeners.append(listener)

    def on_event(self, observer: Callable[[Event], None]) -> None:
        """Call `observer` with every event as it is queued; it must be quick and not raise.

        The event of a commit is queued in the step of the event loop that makes the commit.
        """
        self._observers.append(observer)

    async def follow(self) -> None:
        """Make the newest seq known, which it always is where the log is written."""

    def withhold(self, did: str, failure: DatabaseError) -> None:
        """Publish no commit or sync of `did` from now on, because its store may have lost them.

        The next start tells subscribers what the store has.
        """
        self._withheld[did] = failure

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
        """Publish the queue, end every subscription and close the file. Idempotent."""
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
        """Commit the queue as one transaction; publish it and resolve its futures when durable."""
        self._flush_at = None
        events = [event for waiting in self._queue for event in waiting.events]
        sequenced_at = timestamp(self.now_ms())
        try:
            first_seq = self._commit(events, sequenced_at)
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
        self._unpublished.append(_Committed(first_seq, events, sequenced_at, queue))
        self._durability.when_durable(self._publish_next)

    def _commit(self, events: list[EncodedEvent], sequenced_at: str) -> int:
        """Store `events`; return the seq of the first."""
        if not events:
            return self._last_seq + 1
        # Reserve first: a power failure may undo the events, but not the reservation.
        self.run.reserve(self._last_seq + len(events))
        first_seq = self.log.insert(events, sequenced_at)
        self._last_seq = first_seq + len(events) - 1
        return first_seq

    def _publish_next(self) -> None:
        """Publish the oldest transaction, which is durable, and resolve its futures."""
        committed = self._unpublished.popleft()
        if self.failure is not None:
            _fail(committed.waiting, self.failure)
            return
        events, seq = committed.events, committed.first_seq
        if self._withheld:
            self._withhold(committed)
        elif events:
            at = committed.sequenced_at
            frames = [event.frame(n, at) for n, event in enumerate(events, start=seq)]
            self.ring.publish(seq, frames)
        self.events_by_type.update(event.event_type for event in events)
        for waiting in committed.waiting:
            following = seq + len(waiting.events)
            if not waiting.seqs.done():
                waiting.seqs.set_result(list(range(seq, following)))
            seq = following
        if events:
            self._tell_listeners()

    def _withhold(self, committed: _Committed) -> None:
        """Publish what is not to be withheld, and take the rest out of the log."""
        seqs = []
        for seq, event in enumerate(committed.events, start=committed.first_seq):
            if event.did in self._withheld and event.event_type in OF_STORES:
                seqs.append(seq)
            else:
                self.ring.publish(seq, [event.frame(seq, committed.sequenced_at)])
        for waiting in committed.waiting:
            dids = [event.did for event in waiting.events if event.did in self._withheld]
            if dids:
                _fail([waiting], self._withheld[dids[0]])
        try:
            self.log.invalidate(seqs)
        except DatabaseError as exc:
            _log.error("events %s of a store that failed stay in the log: %s", seqs, exc)

    def _show_skipped(self, latest: int) -> None:
        # The jump must not cut off subscribers as too slow.
        self.subscriptions.all_have_to_catch_up()
        self.ring.skip_to(latest)

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


def _fail(queue: Sequence[_Waiting], exc: Exception) -> None:
    for waiting in queue:
        waiting.refused = True
        if not waiting.seqs.done():
            waiting.seqs.set_exception(exc)
