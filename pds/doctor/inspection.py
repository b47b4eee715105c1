"""Read-only connections to databases that leave the files untouched.

SQLite creates a -wal and a -shm file even for readers of a WAL database. This is avoided while no
process has the database open:

    no WAL          immutable=1: no locks, no other files
    a WAL, left by  the WAL index in memory instead of a -shm file, which requires exclusive
    a crash         mode and, because the file is opened for reading, a VFS without locks

Neither notices a process that opens the database meanwhile. So the files are compared before and
after, and read again in the ordinary way if they have changed. While a process has the database
open, its -wal and -shm files exist, and a reader adds nothing to them except its locks.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeAlias, TypeVar
from urllib.parse import quote

import apsw

from database.connection import Database
from database.errors import DatabaseDamaged, DatabaseError, map_error
from database.open_elsewhere import is_open
from database.opening import BUSY_TIMEOUT_MS

T = TypeVar("T")
Footprint: TypeAlias = tuple[tuple[int, int, int] | None, ...]

_QUIET_TRIES: Final = 2
_FLAGS: Final = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI


def examine_unchanged(path: Path, examine: Callable[[Database], T]) -> T:
    """Call `examine` with a connection to `path` that holds one snapshot; return its result.

    `examine` may be called again if another process interferes. Raises `DatabaseError`s.
    """
    for _ in range(_QUIET_TRIES):
        if is_open(path):
            break
        before = _footprint(path)
        try:
            with _opened(path, _quiet_query(path)) as db:
                result = examine(db)
        except DatabaseError:
            if _footprint(path) == before:
                raise
        else:
            if _footprint(path) == before:
                return result
    with _opened(path, "mode=ro") as db:
        return examine(db)


@contextmanager
def _opened(path: Path, query: str) -> Iterator[Database]:
    try:
        connection = apsw.Connection(f"file:{quote(str(path.absolute()))}?{query}", _FLAGS)
    except apsw.Error as exc:
        raise map_error(exc, path, os_errno=_errno_of(path)) from exc
    db = Database(connection, path)
    try:
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        # Otherwise the last connection to close would checkpoint the WAL.
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        if "unix-none" in query:
            db.run("PRAGMA locking_mode = EXCLUSIVE")
        with db.snapshot():
            yield db
    except UnicodeDecodeError as exc:
        # SQLite does not validate text: pages may be intact with garbage in them.
        raise DatabaseDamaged(path, f"has text that is not UTF-8: {exc.reason}") from exc
    finally:
        db.close()


def _quiet_query(path: Path) -> str:
    wal = _identity(_beside(path, "-wal"))
    size = 0 if wal is None else wal[1]
    return "mode=ro&vfs=unix-none" if size else "mode=ro&immutable=1"


def _footprint(path: Path) -> Footprint:
    return tuple(_identity(_beside(path, suffix)) for suffix in ("", "-wal"))


def _identity(path: Path) -> tuple[int, int, int] | None:
    """Return inode, size in bytes and time of the last change in ns; None without a file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _errno_of(path: Path) -> int:
    try:
        path.stat()
    except OSError as exc:
        return exc.errno or 0
    return 0 if os.access(path, os.R_OK) else errno.EACCES
