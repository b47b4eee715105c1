"""Following the event log: the DIDs of its new events are those whose stores have changed.

The log belongs to the server, which may be stopped, started or restored at any time: the file may
be missing, be another one than before, or be locked. Nothing is ever written to it, and no other
database of the server is open in this process (see `pds.disk.other_server`).
"""

from __future__ import annotations

import logging
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from database.connection import Database
from database.errors import DatabaseError
from database.opening import open_database
from database.timestamps import epoch_ms_of
from sequencer.told import find_deleted_seq

PAGE: Final = 2_000
"""Events that are read at a time."""
_CACHE_KIB: Final = 256
_VERSION: Final = "PRAGMA data_version"
_LATEST: Final = "SELECT seq FROM sqlite_sequence WHERE name = 'repo_seq'"
_AFTER: Final = "SELECT seq, did, sequencedAt FROM repo_seq WHERE seq > ? ORDER BY seq LIMIT ?"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LoggedChanges:
    """What the log says that is new."""

    changed: dict[str, int]
    """When each DID changed first, in Unix milliseconds."""
    cursor: int
    """The seq up to which this is all."""
    events: int
    is_full: bool
    """Whether there may be more."""
    may_lack: bool = False
    """Whether changes may be missing, because the log is another one than before, or because events
    were deleted before they were read."""


class LogFollower:
    """Reads the event log from a cursor on.

    `read` returns None if there is nothing new. The caller marks the DIDs and stores the cursor in
    one transaction of the ledger; until it has, the next `read` returns the same again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db: Database | None = None
        self._inode = 0
        self._version = -1
        self._up_to = -1
        self.last_error: str | None = None
        """Why the log cannot be read now; None if it can, or if there is none yet."""

    def read(self, cursor: int | None) -> LoggedChanges | None:
        """Return the changes after `cursor`; for None, only where the log ends now."""
        try:
            if not self._is_open():
                return None
            found = self._read(cursor)
        except DatabaseError as exc:
            self._close_for(exc)
            return None
        self.last_error = None
        return found

    def close(self) -> None:
        """Close the log. May be repeated; `read` opens it again."""
        db, self._db = self._db, None
        self._version = -1
        if db is not None:
            with suppress(DatabaseError):
                db.close_at_once()

    def _read(self, cursor: int | None) -> LoggedChanges | None:
        db = self._db
        assert db is not None  # noqa: S101 (opened by the caller)
        # It changes with every commit of another connection. Asked first: a commit that comes after
        # is found by the next call.
        version = db.value(_VERSION)
        if version == self._version and cursor == self._up_to:
            return None
        with db.snapshot():
            latest = int(db.value(_LATEST) or 0)
            if cursor is None or latest < cursor or cursor < find_deleted_seq(db):
                return LoggedChanges({}, latest, 0, is_full=False, may_lack=True)
            rows = db.all(_AFTER, (cursor, PAGE))
        if len(rows) < PAGE:
            # Whoever comes back with this cursor has all that there was at this version.
            self._version, self._up_to = version, rows[-1][0] if rows else cursor
        if not rows:
            return None
        return LoggedChanges(_changed(rows), rows[-1][0], len(rows), len(rows) == PAGE)

    def _is_open(self) -> bool:
        """Open the log, or the one that has taken its place. False if there is none."""
        try:
            inode = os.stat(self._path).st_ino  # noqa: PTH116 (several times a second)
        except OSError:
            self.close()
            return False
        if inode != self._inode:
            self.close()
        if self._db is None:
            self._db = open_database(
                self._path, read_only=True, cache_kib=_CACHE_KIB, busy_timeout_ms=0
            )
            self._inode = inode
        return True

    def _close_for(self, exc: DatabaseError) -> None:
        if self.last_error is None:
            logger.warning("cannot follow the event log for now: %s", exc)
        self.last_error = str(exc)
        self.close()


def _changed(rows: list[tuple[int, str, str]]) -> dict[str, int]:
    """Return when each DID changed first."""
    now_ms = int(time.time() * 1000)
    changed: dict[str, int] = {}
    for _, did, at in rows:
        if did not in changed:
            changed[did] = _time_of(at, now_ms)
    return changed


def _time_of(at: str, now_ms: int) -> int:
    """Return the time of an event; one that cannot be is now."""
    try:
        return min(epoch_ms_of(at), now_ms)
    except ValueError:
        return now_ms
