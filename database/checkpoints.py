"""Checkpoints in a thread: moving a WAL into its database waits for the disk, a commit does not.

SQLite otherwise makes every commit that finds a long WAL do it, which stops the event loop for
as long as two fsyncs take.
"""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import apsw

from database.connection import BUSY_TIMEOUT_MS, Database

PAGES: Final = 1_000
"""Length of a WAL that starts a checkpoint, as SQLite's own default."""
_INLINE_FACTOR: Final = 8
_EMPTYING_MS: Final = 100
"""How long the emptying of a WAL waits for readers: nobody can write meanwhile."""

logger = logging.getLogger(__name__)


class Checkpointer:
    """Checkpoints the databases it watches, one after the other, in one thread.

    Not for databases whose checkpoints are left to Litestream.
    """

    def __init__(self, *, pages: int = PAGES) -> None:
        self._pages = pages
        self._thread: ThreadPoolExecutor | None = ThreadPoolExecutor(
            1, thread_name_prefix="checkpoint"
        )
        self._asked_for = 0
        self._done = 0
        # SQLite does not wait for another checkpoint of a database, it gives up.
        self._lock = threading.Lock()

    @property
    def waiting(self) -> int:
        """How many checkpoints have been asked for and are not done."""
        return self._asked_for - self._done

    def watch(self, db: Database) -> None:
        """Take over the checkpoints of a database, until it is closed."""
        db.connection.set_wal_hook(_Watch(self, db.path, self._pages))

    def start(self, path: Path) -> None:
        """Checkpoint a database soon, as far as its readers allow."""
        if self._thread is not None:
            self._asked_for += 1
            self._thread.submit(self._run, path)

    def empty(self, path: Path) -> None:
        """Checkpoint a database soon and cut off its WAL, as far as its readers allow.

        What has been deleted from the database can be read in an old WAL.
        """
        if self._thread is not None:
            self._asked_for += 1
            self._thread.submit(self._run, path, empties=True)

    def finish(self, connection: apsw.Connection, path: Path) -> None:
        """Checkpoint a database now, on the connection that has just written."""
        with self._lock:
            _checkpoint(connection, path)

    def close(self) -> None:
        """Finish the checkpoints that have been asked for; later ones are not made."""
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
                # The database has been deleted since: nothing to do.
                logger.info("no checkpoint of %s: %s", path, exc)
                return
            connection.set_busy_timeout(BUSY_TIMEOUT_MS)
            _checkpoint(connection, path)
            if empties:
                # Nearly all has been done by now.
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
            # A long reader may keep the WAL from starting over; then try once every `step` pages.
            self._due = pages + step
            if pages < step * _INLINE_FACTOR:
                self._checkpointer.start(self._path)
            else:
                # Commits without a pause: the thread never finds all of the WAL written. Nearly
                # all of it is by now, so this takes little time and lets the WAL start over.
                self._checkpointer.finish(connection, self._path)
        elif pages < self._due - step:
            self._due = step
        return apsw.SQLITE_OK


def _checkpoint(
    connection: apsw.Connection, path: Path, *, mode: int = apsw.SQLITE_CHECKPOINT_PASSIVE
) -> None:
    try:
        # A connection knows of the WAL once it has read something, and skips it before that.
        connection.execute("PRAGMA schema_version")
        connection.wal_checkpoint(mode=mode)
    except apsw.BusyError:
        # Another process is at it, or reads.
        return
    except apsw.Error as exc:
        logger.warning("checkpoint of %s failed: %s", path, exc)
