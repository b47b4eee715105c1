"""Checkpoints in a thread: a checkpoint waits for the disk, a commit does not.

By default, SQLite checkpoints inside the commit that finds a long WAL, which blocks the event
loop for two fsyncs.
"""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import apsw

from database.connection import Database
from database.opening import BUSY_TIMEOUT_MS

PAGES: Final = 1_000
"""Length of a WAL that triggers a checkpoint: SQLite's own default."""
_INLINE_FACTOR: Final = 8
_EMPTYING_MS: Final = 100
"""How long truncating a WAL waits for readers; no connection can write meanwhile."""

logger = logging.getLogger(__name__)


class Checkpointer:
    """Checkpoints the watched databases, one at a time, in one thread.

    Not for databases whose checkpoints are left to Litestream.
    """

    def __init__(self, *, pages: int = PAGES) -> None:
        self._pages = pages
        self._thread: ThreadPoolExecutor | None = ThreadPoolExecutor(
            1, thread_name_prefix="checkpoint"
        )
        self._asked_for = 0
        self._done = 0
        # If another checkpoint of the same database is running, SQLite gives up instead of waiting.
        self._lock = threading.Lock()

    @property
    def waiting(self) -> int:
        """The number of checkpoints requested but not finished."""
        return self._asked_for - self._done

    def watch(self, db: Database) -> None:
        """Take over the checkpoints of a database until it is closed."""
        db.connection.set_wal_hook(_Watch(self, db.path, self._pages))

    def start(self, path: Path) -> None:
        """Schedule a checkpoint of a database, as far as its readers allow."""
        if self._thread is not None:
            self._asked_for += 1
            self._thread.submit(self._run, path)

    def empty(self, path: Path) -> None:
        """Schedule a checkpoint that truncates the WAL, as far as its readers allow.

        Otherwise data deleted from the database stays readable in the old WAL.
        """
        if self._thread is not None:
            self._asked_for += 1
            self._thread.submit(self._run, path, empties=True)

    def finish(self, connection: apsw.Connection, path: Path) -> None:
        """Checkpoint a database now, on the connection that just wrote."""
        with self._lock:
            _checkpoint(connection, path)

    def close(self) -> None:
        """Finish the requested checkpoints, and ignore later requests."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.shutdown(wait=True)

    def _run(self, path: Path, *, empties: bool = False) -> None:
        try:
            self._checkpoint_file(path, empties=empties)
        finally:
            self._done += 1

    def _checkpoint_file(self, path: Path, *, empties: bool) -> None:
        with self._lock:
            try:
                connection = apsw.Connection(str(path), apsw.SQLITE_OPEN_READWRITE)
            except apsw.Error as exc:
                # The database was deleted in the meantime.
                logger.info("skipping the checkpoint of %s: %s", path, exc)
                return
            connection.set_busy_timeout(BUSY_TIMEOUT_MS)
            _checkpoint(connection, path)
            if empties:
                # A passive checkpoint has done nearly all of the work by now.
                connection.set_busy_timeout(_EMPTYING_MS)
                _checkpoint(connection, path, mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            connection.close()


class _Watch:
    """Called by SQLite after each commit with the length of the WAL. Must not raise."""

    __slots__ = ("_checkpointer", "_due", "_path", "_step")

    def __init__(self, checkpointer: Checkpointer, path: Path, pages: int) -> None:
        self._checkpointer = checkpointer
        self._path = path
        self._step = pages
        self._due = pages

    def __call__(self, connection: apsw.Connection, name: str, pages: int) -> int:
        step = self._step
        if pages >= self._due:
            # A long reader may prevent a WAL reset; then retry every `step` pages.
            self._due = pages + step
            if pages < step * _INLINE_FACTOR:
                self._checkpointer.start(self._path)
            else:
                # Under continuous commits, the thread never catches up with the WAL. By now nearly
                # all of it is checkpointed, so this is quick and allows the WAL to be reset.
                self._checkpointer.finish(connection, self._path)
        elif pages < self._due - step:
            self._due = step
        return apsw.SQLITE_OK


def _checkpoint(
    connection: apsw.Connection, path: Path, *, mode: int = apsw.SQLITE_CHECKPOINT_PASSIVE
) -> None:
    try:
        # A connection does not notice the WAL, and skips it, until its first read.
        connection.execute("PRAGMA schema_version")
        connection.wal_checkpoint(mode=mode)
    except apsw.BusyError:
        # Another process is checkpointing or reading.
        return
    except apsw.Error as exc:
        logger.warning("checkpoint of %s failed: %s", path, exc)
