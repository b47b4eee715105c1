"""When commits are on the disk: WALs are synced in groups, by threads, beside the event loop.

No COMMIT waits for the disk (`synchronous=NORMAL`). Whoever answers a request, or shows an event to
subscribers, waits here until all that had been committed by then is durable. While a file is being
synced, later commits to it gather for the next sync, so the cost of a sync is shared.

SQLite itself syncs a WAL before it copies pages into the database, and the database before a WAL
begins anew: so a commit may leave its WAL before it is synced here, but is durable then. SQLite
also syncs the first header of a WAL and the directory that the file is in.

After a failed sync nobody knows what is in the file: the system may take pages for written that are
not, and the next sync would succeed. So no later sync of that file counts, until the next start
reads from the disk what is there (`take_from_disk`).
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Final, TypeAlias

from database.errors import DatabaseUnsynced
from database.wal import wal_path

OnFailure: TypeAlias = Callable[[Path, DatabaseUnsynced], None]

_THREADS: Final = 16
"""Syncs at the same time: disks that take long for one take little longer for several."""


@dataclass(slots=True)
class SyncCounts:
    """Syncs since the start."""

    synced: int = 0
    commits: int = 0
    """Commits that they have made durable."""


class Durability:
    """Commits become durable at some time, and nobody waits for it."""

    waits: bool = False
    """Whether anybody waits."""

    def __init__(self) -> None:
        self.counts = SyncCounts()

    def note(self, database: Path) -> None:
        """Note a commit that has just been made to `database`. Must not raise."""

    def when_durable(self, callback: Callable[[], None]) -> None:
        """Call `callback` once all commits noted so far are durable, or lost by a failed sync.

        Callbacks are called in order. `failure_of` tells which files have failed.
        """
        callback()

    def failure_of(self, database: Path) -> DatabaseUnsynced | None:
        """Return the error of the failed sync that makes the state of a database unknown."""
        return None

    def on_failure(self, listener: OnFailure) -> None:
        """Call `listener` when a sync has failed, before anybody who waits for it goes on."""

    def fail(self, failure: DatabaseUnsynced) -> None:
        """Take a sync for failed, and tell the listeners, once for each database."""

    def begin(self) -> None:
        """Note from now on what the current task writes, and the tasks that it starts."""

    async def settle(self) -> None:
        """Wait until all that was written since `begin`, or the last call, is durable.

        Raises `DatabaseUnsynced` if that cannot be known.
        """

    async def settle_all(self) -> None:
        """Wait until all commits noted so far are durable. Raises `DatabaseUnsynced`."""

    def sync_now(self, database: Path) -> None:
        """Make the commits to `database` durable: for a thread. Raises `DatabaseUnsynced`."""

    def take_from_disk(self, database: Path) -> None:
        """Make sure that what is read from a WAL is on the disk; before the file is opened.

        The run before may have ended between a commit and its sync, or because of a failed one.
        Waits for the disk. Raises `DatabaseUnsynced`.
        """

    async def close(self) -> None:
        """Wait for the syncs that are due. May be repeated."""


EVENTUAL: Final = Durability()
"""For databases whose commits nobody waits for."""


@dataclass(slots=True)
class _Sync:
    """One sync of one WAL: for the commits that have gathered until it begins."""

    database: Path
    number: int
    descriptor: int | None
    """Opened at the first commit, so that an error which another sync of the file has met in the
    meantime is reported to this one, too; None if that failed."""
    commits: int = 1
    error: OSError | None = None
    is_over: bool = False
    waiting: list[asyncio.Future[None]] = field(default_factory=list)


_written: Final[ContextVar[dict[Path, _Sync] | None]] = ContextVar("written", default=None)
"""The newest sync of each database that a task has written to."""


class GroupSync(Durability):
    """Commits are synced at once, in groups. For one event loop, save for what is for threads."""

    waits = True

    def __init__(self, *, threads: int = _THREADS) -> None:
        """To be called on the event loop."""
        super().__init__()
        self._loop = asyncio.get_running_loop()
        # An executor would cost as much as a sync, twice.
        self._jobs: SimpleQueue[list[_Sync] | None] = SimpleQueue()
        self._threads: list[Thread] = []
        self._max_threads = threads
        self._idle = 0
        self._gathering: dict[Path, _Sync] = {}
        """Syncs that have not begun."""
        self._under_way: set[Path] = set()
        self._outstanding: dict[int, _Sync] = {}
        """Syncs that are not over by number, from the oldest on."""
        self._numbers = count(1)
        self._newest = 0
        self._waiting: deque[tuple[int, Callable[[], None]]] = deque()
        """Who waits until all syncs up to a number are over."""
        self._is_about_to_start = False
        self._failures: dict[Path, DatabaseUnsynced] = {}
        self._listeners: list[OnFailure] = []

    def note(self, database: Path) -> None:
        """See `Durability.note`."""
        sync = self._gathering.get(database)
        if sync is None:
            sync = self._gather(database)
        else:
            sync.commits += 1
        written = _written.get()
        if written is not None:
            written[database] = sync

    def when_durable(self, callback: Callable[[], None]) -> None:
        """See `Durability.when_durable`."""
        if self._outstanding:
            self._waiting.append((self._newest, callback))
        else:
            callback()

    def failure_of(self, database: Path) -> DatabaseUnsynced | None:
        """See `Durability.failure_of`."""
        return self._failures.get(database)

    def on_failure(self, listener: OnFailure) -> None:
        """See `Durability.on_failure`."""
        self._listeners.append(listener)

    def fail(self, failure: DatabaseUnsynced) -> None:
        """See `Durability.fail`."""
        database = Path(failure.path)
        if self._failures.setdefault(database, failure) is failure:
            for listener in self._listeners:
                listener(database, failure)

    def begin(self) -> None:
        """See `Durability.begin`."""
        _written.set({})

    async def settle(self) -> None:
        """See `Durability.settle`."""
        written = _written.get()
        if not written:
            return
        syncs = list(written.items())
        written.clear()
        for database, sync in syncs:
            await self._over(sync)
            if database in self._failures:
                raise self._failures[database]

    async def settle_all(self) -> None:
        """See `Durability.settle_all`."""
        for sync in list(self._outstanding.values()):
            await self._over(sync)
        for failure in self._failures.values():
            raise failure

    def sync_now(self, database: Path) -> None:
        """See `Durability.sync_now`."""
        try:
            _sync(_open(database))
        except OSError as exc:
            failure = _unknown(database, exc)
            self._loop.call_soon_threadsafe(self.fail, failure)
            raise failure from exc

    def take_from_disk(self, database: Path) -> None:
        """See `Durability.take_from_disk`."""
        try:
            descriptor = _open(database)
        except FileNotFoundError:
            return
        except OSError as exc:
            raise _unknown(database, exc) from exc
        try:
            os.fdatasync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        except OSError as exc:
            raise _unknown(database, exc) from exc
        finally:
            os.close(descriptor)

    async def close(self) -> None:
        """See `Durability.close`."""
        with suppress(DatabaseUnsynced):
            await self.settle_all()
        threads, self._threads = self._threads, []
        for _ in threads:
            self._jobs.put(None)
        for thread in threads:
            await asyncio.to_thread(thread.join)

    def _gather(self, database: Path) -> _Sync:
        descriptor = None
        # If too many files are open, the thread tries again.
        with suppress(OSError):
            descriptor = _open(database)
        self._newest = number = next(self._numbers)
        sync = _Sync(database, number, descriptor)
        self._gathering[database] = self._outstanding[number] = sync
        if not self._is_about_to_start:
            self._is_about_to_start = True
            # The event of a commit is written in the next step of the event loop. Its sync should
            # not come one round later than that of the commit.
            self._loop.call_soon(self._loop.call_soon, self._start)
        return sync

    def _start(self) -> None:
        """Share out among the free threads the syncs of files that none is syncing."""
        self._is_about_to_start = False
        ready = [one for one in self._gathering.values() if one.database not in self._under_way]
        while ready and (free := self._idle + self._max_threads - len(self._threads)):
            share = ready[: -(-len(ready) // free)]
            del ready[: len(share)]
            for sync in share:
                del self._gathering[sync.database]
                self._under_way.add(sync.database)
            self._jobs.put(share)
            if self._idle:
                self._idle -= 1
            else:
                self._threads.append(Thread(target=self._work, name="wal-sync", daemon=True))
                self._threads[-1].start()

    def _work(self) -> None:
        """Sync what there is, in a thread, until there is no more to come."""
        while (syncs := self._jobs.get()) is not None:
            for sync in syncs:
                try:
                    _sync(_open(sync.database) if sync.descriptor is None else sync.descriptor)
                except OSError as exc:
                    sync.error = exc
            self._loop.call_soon_threadsafe(self._finish, syncs)

    def _finish(self, syncs: list[_Sync]) -> None:
        self._idle += 1
        for sync in syncs:
            self.counts.synced += 1
            self.counts.commits += sync.commits
            self._under_way.discard(sync.database)
            if sync.error is not None:
                self.fail(_unknown(sync.database, sync.error))
            del self._outstanding[sync.number]
            sync.is_over = True
        if self._gathering:
            self._start()
        over = next(iter(self._outstanding), self._newest + 1)
        while self._waiting and self._waiting[0][0] < over:
            self._waiting.popleft()[1]()
        for sync in syncs:
            for waiting in sync.waiting:
                if not waiting.done():
                    waiting.set_result(None)

    async def _over(self, sync: _Sync) -> None:
        if not sync.is_over:
            over = self._loop.create_future()
            sync.waiting.append(over)
            await over


def _open(database: Path) -> int:
    return os.open(wal_path(database), os.O_RDONLY | os.O_CLOEXEC)


def _sync(descriptor: int) -> None:
    try:
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)


def _unknown(database: Path, exc: OSError) -> DatabaseUnsynced:
    return DatabaseUnsynced(database, exc.strerror or str(exc))
