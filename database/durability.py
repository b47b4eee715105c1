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
import heapq
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final, TypeAlias

from database.errors import DatabaseIoFailed
from database.wal import wal_path

OnFailure: TypeAlias = Callable[[Path, DatabaseIoFailed], None]

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

    def failure_of(self, database: Path) -> DatabaseIoFailed | None:
        """Return the error of the failed sync that makes the state of a database unknown."""
        return None

    def on_failure(self, listener: OnFailure) -> None:
        """Call `listener` when a sync has failed, before anybody who waits for it goes on."""

    def begin(self) -> None:
        """Note from now on what the current task writes, for `settle`."""

    async def settle(self) -> None:
        """Wait until all that the current task has written since `begin` is durable.

        Raises `DatabaseIoFailed` if that cannot be known.
        """

    async def settle_all(self) -> None:
        """Wait until all commits noted so far are durable. Raises `DatabaseIoFailed`."""

    def sync_now(self, database: Path) -> None:
        """Make the commits to `database` durable: for a thread. Raises `DatabaseIoFailed`."""

    def take_from_disk(self, database: Path) -> None:
        """Make sure that what is read from a WAL is on the disk; before the file is opened.

        The run before may have ended between a commit and its sync, or because of a failed one.
        Waits for the disk. Raises `DatabaseIoFailed`.
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


@dataclass(slots=True)
class _Written:
    """What one task has written."""

    databases: set[Path] = field(default_factory=set)
    number: int = 0
    """The newest of the syncs that cover it."""


_written: Final[ContextVar[_Written | None]] = ContextVar("written", default=None)


class GroupSync(Durability):
    """Commits are synced at once, in groups. For one event loop, save for what is for threads."""

    waits = True

    def __init__(self, *, threads: int = _THREADS) -> None:
        """To be called on the event loop."""
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="wal-sync")
        self._free = threads
        self._gathering: dict[Path, _Sync] = {}
        """Syncs that have not begun."""
        self._under_way: set[Path] = set()
        self._outstanding: dict[int, None] = {}
        """The numbers of syncs that are not over, from the oldest on."""
        self._numbers = count(1)
        self._newest = 0
        self._waiting: list[tuple[int, int, Callable[[], None]]] = []
        """A heap of who waits until all syncs up to a number are over."""
        self._order = count()
        self._is_about_to_start = False
        self._failures: dict[Path, DatabaseIoFailed] = {}
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
            written.databases.add(database)
            written.number = max(written.number, sync.number)

    def when_durable(self, callback: Callable[[], None]) -> None:
        """See `Durability.when_durable`."""
        if self._outstanding:
            self._call_after(self._newest, callback)
        else:
            callback()

    def failure_of(self, database: Path) -> DatabaseIoFailed | None:
        """See `Durability.failure_of`."""
        return self._failures.get(database)

    def on_failure(self, listener: OnFailure) -> None:
        """See `Durability.on_failure`."""
        self._listeners.append(listener)

    def begin(self) -> None:
        """See `Durability.begin`."""
        _written.set(_Written())

    async def settle(self) -> None:
        """See `Durability.settle`."""
        written = _written.get()
        if written is None or not written.databases:
            return
        await self._over(written.number)
        for database in written.databases:
            if database in self._failures:
                raise self._failures[database]

    async def settle_all(self) -> None:
        """See `Durability.settle_all`."""
        await self._over(self._newest)
        for failure in self._failures.values():
            raise failure

    def sync_now(self, database: Path) -> None:
        """See `Durability.sync_now`."""
        try:
            _sync(_open(database))
        except OSError as exc:
            failure = _unknown(database, exc)
            self._loop.call_soon_threadsafe(self._fail, failure)
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
        await self._over(self._newest)
        await asyncio.to_thread(self._threads.shutdown)

    def _gather(self, database: Path) -> _Sync:
        descriptor = None
        # If too many files are open, the thread tries again.
        with suppress(OSError):
            descriptor = _open(database)
        self._newest = number = next(self._numbers)
        self._outstanding[number] = None
        sync = self._gathering[database] = _Sync(database, number, descriptor)
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
        while ready and self._free:
            share = ready[: -(-len(ready) // self._free)]
            del ready[: len(share)]
            for sync in share:
                del self._gathering[sync.database]
                self._under_way.add(sync.database)
            self._free -= 1
            self._threads.submit(self._sync_all, share)

    def _sync_all(self, syncs: list[_Sync]) -> None:
        for sync in syncs:
            try:
                _sync(_open(sync.database) if sync.descriptor is None else sync.descriptor)
            except OSError as exc:
                sync.error = exc
        self._loop.call_soon_threadsafe(self._finish, syncs)

    def _finish(self, syncs: list[_Sync]) -> None:
        self._free += 1
        for sync in syncs:
            self.counts.synced += 1
            self.counts.commits += sync.commits
            self._under_way.discard(sync.database)
            if sync.error is not None:
                self._fail(_unknown(sync.database, sync.error))
            del self._outstanding[sync.number]
        if self._gathering:
            self._start()
        over = next(iter(self._outstanding), self._newest + 1)
        while self._waiting and self._waiting[0][0] < over:
            heapq.heappop(self._waiting)[2]()

    def _fail(self, failure: DatabaseIoFailed) -> None:
        database = Path(failure.path)
        if self._failures.setdefault(database, failure) is failure:
            for listener in self._listeners:
                listener(database, failure)

    async def _over(self, number: int) -> None:
        """Wait until all syncs up to a number are over."""
        if next(iter(self._outstanding), number + 1) <= number:
            over: asyncio.Future[None] = self._loop.create_future()
            self._call_after(number, lambda: None if over.done() else over.set_result(None))
            await over

    def _call_after(self, number: int, callback: Callable[[], None]) -> None:
        heapq.heappush(self._waiting, (number, next(self._order), callback))


def _open(database: Path) -> int:
    return os.open(wal_path(database), os.O_RDONLY | os.O_CLOEXEC)


def _sync(descriptor: int) -> None:
    try:
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)


def _unknown(database: Path, exc: OSError) -> DatabaseIoFailed:
    return DatabaseIoFailed(
        database,
        f"{exc.strerror or exc} while its WAL was written to the disk: what it has lost "
        "is known after a restart only",
    )
