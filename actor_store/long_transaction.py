"""Long write transactions in threads: the work, its COMMIT, and cancellation."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Generic, TypeVar

from database.connection import Database, WriteTransaction
from database.errors import DatabaseBusy, DatabaseError

T = TypeVar("T")

_INTERRUPT_S: Final = 0.05

logger = logging.getLogger(__name__)


class LongTransaction(Generic[T]):
    """One transaction on a connection of its own, opened by `open_db`.

    Each method is called in some thread, `commit` after `run`. `close` is always called, perhaps
    while `run` is in progress and nobody awaits its result any more.
    """

    def __init__(
        self,
        open_db: Callable[[], Database],
        fn: Callable[[Database], T],
        *,
        tidy: Callable[[Database], None],
    ) -> None:
        """`fn` is called in the transaction, `tidy` after it."""
        self._open_db = open_db
        self._fn = fn
        self._tidy = tidy
        self._db: Database | None = None
        self._transaction: WriteTransaction
        self._path: Path
        self._closed = False
        self._lock = threading.Lock()

    def run(self) -> T:
        """Do all but the COMMIT. Raises what `fn` raises, and `DatabaseBusy` if closed."""
        with self._lock:
            db = self._db = self._open_db()
            self._path = db.path
            try:
                self._transaction = db.transaction()
                self._transaction.__enter__()
                result = self._fn(db)
            except BaseException as exc:
                # All threads that could close this may be waiting for the lock, so end it here.
                self._end()
                if self._closed:
                    raise _ended(db.path) from exc
                raise
            if self._closed:
                self._end()
            return result

    def commit(self) -> None:
        """COMMIT, once `run` has returned. Raises `DatabaseBusy` if closed in the meantime."""
        with self._lock:
            if self._db is None:
                raise _ended(self._path)
            self._transaction.__exit__(None, None, None)

    def close(self) -> None:
        """Roll back if uncommitted, and close the connection. May be repeated.

        A `run` in progress soon ends with `DatabaseBusy`.
        """
        self._closed = True
        # Repeat, because no statement may be running at the moment of an interrupt.
        while not self._lock.acquire(timeout=_INTERRUPT_S):
            db = self._db
            if db is not None:
                db.interrupt()
        try:
            self._end()
        finally:
            self._lock.release()

    def _end(self) -> None:
        db, self._db = self._db, None
        if db is None:
            return
        try:
            db.rollback()
            self._tidy(db)
        except DatabaseError as exc:
            logger.warning("clean-up after a long transaction failed: %s", exc)
        finally:
            db.close_in_thread()


class LongCommits:
    """The commits of long transactions, synchronised with the event loop.

    They run in a thread, because SQLite then writes the rest of its page cache, and recomputes the
    checksums of a WAL that the cache spilled into: a second per gigabyte. The thread is dedicated,
    because all others may be waiting for a transaction that is about to be committed.
    """

    def __init__(self) -> None:
        self._under_way: dict[str, asyncio.Event] = {}
        """By DID; each event is set when that commit is over."""
        self._closed = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="long-commits")

    def __contains__(self, did: str) -> bool:
        """Whether an actor is locked for other writers right now."""
        return did in self._under_way

    async def commit(self, did: str, commit: Callable[[], None]) -> None:
        """Call `commit` in the thread. Raises what it raises.

        The caller resumes in the same step of the event loop that unlocks the actor for writers.
        Once `commit` is called, a cancellation takes effect only at the caller's next await.
        """
        while (earlier := self._under_way.get(did)) is not None:
            await earlier.wait()
        if self._closed:
            commit()
            return
        over = self._under_way[did] = asyncio.Event()
        try:
            await _to_the_end(asyncio.wrap_future(self._thread.submit(commit)))
        finally:
            del self._under_way[did]
            over.set()

    def close(self) -> None:
        """Finish the commit in progress, once every transaction is closed."""
        self._closed = True
        self._thread.shutdown(wait=True)


async def _to_the_end(work: asyncio.Future[None]) -> None:
    is_cancelled = False
    while not work.done():
        try:
            await asyncio.wait((work,))
        except asyncio.CancelledError:
            is_cancelled = True
    if is_cancelled and (task := asyncio.current_task()) is not None:
        task.uncancel()
        task.cancel()
    work.result()


def _ended(path: Path) -> DatabaseBusy:
    return DatabaseBusy(path, "the work was ended before it was done")
