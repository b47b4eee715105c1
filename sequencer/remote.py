"""The event log as a process sees it that does not write it: it sends its events to the one that
does, and gets the frames of all.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

from database.connection import WriteCounts
from database.durability import EVENTUAL, Durability
from database.errors import DatabaseError
from database.opening import open_database
from sequencer.events import Event
from sequencer.frames import EncodedEvent
from sequencer.log import EventLog
from sequencer.ring import FrameRing
from sequencer.sequencer import OF_STORES, Sequencer, SequencerClosed
from sequencer.subscriptions import Subscriptions

_CACHE_KIB: Final = 1_000
Send: TypeAlias = Callable[[list[EncodedEvent]], Awaitable[list[int]]]
"""Appends events to the log, in the order of the calls, and returns their seqs."""
_Queue: TypeAlias = "list[tuple[list[EncodedEvent], asyncio.Future[list[int]]]]"


class RemoteSequencer:
    """The event log of one data directory, written elsewhere. Belongs to one event loop.

    Its methods are those of `Sequencer`. Frames arrive once `follow` has been awaited.
    """

    def __init__(
        self,
        path: Path,
        *,
        send: Send,
        follow: Callable[[], Awaitable[int]],
        durability: Durability = EVENTUAL,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """Open the log at `path` for reading. Raises `DatabaseError`s.

        `follow` asks the writer for all frames from now on, and returns the newest seq. Events are
        sent when `durability` says that what they tell of is on the disk.
        """
        self._db = open_database(path, create=False, read_only=True, cache_kib=_CACHE_KIB)
        with self._db.closed_on_error():
            self.log = EventLog(self._db)
            self.ring = FrameRing(0)
        self._send = send
        self._ask_to_follow = follow
        self._durability = durability
        self._withheld: dict[str, DatabaseError] = {}
        self.now_ms = now_ms
        self.subscriptions = Subscriptions()
        self.is_following = False
        """Whether frames arrive."""
        self.is_behind = False
        """Whether the log has refused the last events."""
        self.write_counts = WriteCounts()
        self.events_by_type: Counter[str] = Counter()
        """Empty: events are counted where the log is written."""
        self._queue: _Queue = []
        self._sending: set[asyncio.Task[None]] = set()
        self._observers: list[Callable[[Event], None]] = []
        self._closed = False

    @property
    def current_seq(self) -> int:
        """The newest committed seq; 0 for a new log."""
        return self.ring.last_seq if self.is_following else self.log.latest_seq()

    @property
    def waiting_events(self) -> int:
        """The number of events of this process that were appended but are not yet committed."""
        return sum(len(events) for events, _ in self._queue)

    async def follow(self) -> None:
        """Make the newest seq known, and have every frame after it arrive."""
        if self.is_following:
            return
        newest = await self._ask_to_follow()
        self.is_following = True
        if newest > self.ring.last_seq:
            self.ring.skip_to(newest)

    def append(self, *events: Event) -> asyncio.Future[list[int]]:
        """See `Sequencer.append`."""
        if self._closed:
            raise SequencerClosed
        loop = asyncio.get_running_loop()
        for observe in self._observers:
            for event in events:
                observe(event)
        if not self._queue:
            loop.call_soon(self._flush)
        seqs: asyncio.Future[list[int]] = loop.create_future()
        self._queue.append(([event.encode() for event in events], seqs))
        return seqs

    def withhold(self, did: str, failure: DatabaseError) -> None:
        """See `Sequencer.withhold`."""
        self._withheld[did] = failure

    def on_event(self, observer: Callable[[Event], None]) -> None:
        """See `Sequencer.on_event`; of the events that are appended in this process."""
        self._observers.append(observer)

    async def close(self) -> None:
        """Wait for the events on their way, end every subscription and close the file."""
        if self._closed:
            return
        self._flush()
        self._closed = True
        with suppress(DatabaseError):
            await self._durability.settle_all()
        if self._sending:
            await asyncio.wait(self._sending)
        self.ring.close()
        self._db.close()

    def _flush(self) -> None:
        queue, self._queue = self._queue, []
        if queue:
            self._durability.when_durable(partial(self._start, queue))

    def _start(self, queue: _Queue) -> None:
        """Send events whose commits are durable, except those of stores that have failed."""
        if self._withheld:
            queue = [call for call in queue if not self._is_withheld(*call)]
        task = asyncio.create_task(self._deliver(queue))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    def _is_withheld(self, events: list[EncodedEvent], seqs: asyncio.Future[list[int]]) -> bool:
        for event in events:
            if event.did in self._withheld and event.event_type in OF_STORES:
                if not seqs.done():
                    seqs.set_exception(self._withheld[event.did])
                return True
        return False

    async def _deliver(self, queue: _Queue) -> None:
        events = [event for some, _ in queue for event in some]
        try:
            seqs = await self._send(events)
        except Exception as exc:  # noqa: BLE001 (the callers get it)
            self.is_behind = True
            for _, future in queue:
                if not future.done():
                    future.set_exception(exc)
            return
        self.is_behind = False
        start = 0
        for some, future in queue:
            if not future.done():
                future.set_result(seqs[start : start + len(some)])
            start += len(some)


AnySequencer: TypeAlias = Sequencer | RemoteSequencer
"""The event log, wherever it is written."""
