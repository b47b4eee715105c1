"""Opening SQLite databases in WAL mode, so that Litestream can replicate them.

Settings follow https://litestream.io/tips/: WAL mode, a busy timeout (or retries of the same
length, see `database.retry`), `synchronous=NORMAL` (see `database.durability`), checkpoints left to
Litestream on request, and never an exclusive lock.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

import apsw

from database.connection import STATEMENT_CACHE, Database, WriteCounts
from database.durability import EVENTUAL, Durability
from database.errors import DatabaseError, DatabaseFull, DatabaseIoFailed, map_error

BUSY_TIMEOUT_MS: Final = 5_000
"""How long a connection outside the event loop waits for a lock."""
_DEFAULT_CACHE_KIB: Final = 2_000


def open_database(
    path: Path,
    *,
    create: bool = True,
    cache_kib: int = _DEFAULT_CACHE_KIB,
    wal_autocheckpoint: int | None = 1_000,
    read_only: bool = False,
    busy_timeout_ms: int = BUSY_TIMEOUT_MS,
    secure_delete: bool = False,
    counts: WriteCounts | None = None,
    durability: Durability = EVENTUAL,
) -> Database:
    """Open `path` in WAL mode. The directory must exist.

    `cache_kib` bounds the page cache. `wal_autocheckpoint` is in pages; None leaves every
    checkpoint to another process, even the one on closing. `busy_timeout_ms` blocks the calling
    thread: connections of the event loop pass 0 and use `database.retry`. With `secure_delete`,
    deleted data is overwritten, so that it cannot be found in the file. `counts` collects the write
    transactions; by default the connection has its own. `durability` is told of them.
    Raises `DatabaseMissing`, `DatabaseForbidden`, `DatabaseDamaged`, `DatabaseBusy`, …
    """
    flags = apsw.SQLITE_OPEN_READONLY if read_only else apsw.SQLITE_OPEN_READWRITE
    if create and not read_only:
        flags |= apsw.SQLITE_OPEN_CREATE
    db = Database(_connect(path, flags), path, counts, durability)
    with db.closed_on_error():
        _configure(db, cache_kib, wal_autocheckpoint, busy_timeout_ms)
        if secure_delete:
            db.run("PRAGMA secure_delete = ON")
    return db


def open_without_room(path: Path, *, cache_kib: int = _DEFAULT_CACHE_KIB) -> RoomlessDatabase:
    """Open the existing database `path` for reading while its disk is full.

    A connection usually creates a 32 KiB file beside the database, the WAL index. This one
    creates the file empty and keeps the index in memory. While it is open, other connections of
    this process cannot write either. Raises `DatabaseError`s.
    """
    # Create it but never open an existing one: closing it would drop SQLite's locks.
    with suppress(OSError):
        os.close(os.open(f"{path}-shm", os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0o666))
    uri = f"file:{quote(str(path))}?readonly_shm=1"
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    try:
        connection = apsw.Connection(uri, flags, statementcachesize=STATEMENT_CACHE)
    except apsw.Error as exc:
        raise map_error(exc, path) from exc
    db = RoomlessDatabase(connection, path)
    with db.closed_on_error():
        _configure(db, cache_kib, None, BUSY_TIMEOUT_MS)
    return db


class RoomlessDatabase(Database):
    """A read-only connection to a database on a full disk: see `open_without_room`.

    Writing raises `DatabaseFull`.
    """

    __slots__ = ("_on_close",)

    def __init__(self, connection: apsw.Connection, path: Path) -> None:
        """Wrap an open connection."""
        super().__init__(connection, path)
        self._on_close: Callable[[], None] | None = None

    def call_on_close(self, fn: Callable[[], None]) -> None:
        """Call `fn` once, when the connection is closed."""
        self._on_close = fn

    def close(self) -> None:
        """See `Database.close`."""
        try:
            super().close()
        finally:
            on_close, self._on_close = self._on_close, None
            if on_close is not None:
                on_close()

    def _error(self, exc: apsw.Error) -> DatabaseError:
        if isinstance(exc, apsw.ReadOnlyError):
            return DatabaseFull(self.path, "the disk had no room when it was opened")
        return super()._error(exc)


def _configure(
    db: Database,
    cache_kib: int,
    wal_autocheckpoint: int | None,
    busy_timeout_ms: int,
) -> None:
    db.connection.set_busy_timeout(busy_timeout_ms)
    # This reads the header, so a file that is not a database fails here.
    mode = db.value("PRAGMA journal_mode = WAL")
    if mode != "wal":
        raise DatabaseIoFailed(db.path, f"journal mode is {mode}: the disk cannot hold a WAL")
    # Query plans must not depend on bound values: with STAT4, which apsw's SQLite includes, every
    # run of a statement over several tables would otherwise be planned anew.
    db.connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    db.run("PRAGMA synchronous = NORMAL")
    db.run("PRAGMA foreign_keys = ON")
    db.run(f"PRAGMA cache_size = -{cache_kib}")
    db.connection.wal_autocheckpoint(wal_autocheckpoint or 0)
    if wal_autocheckpoint is None:
        db.connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)


def _connect(path: Path, flags: int) -> apsw.Connection:
    try:
        return apsw.Connection(str(path), flags, statementcachesize=STATEMENT_CACHE)
    except apsw.Error as exc:
        reason = _open_errno(path, flags)
        if reason or not path.is_file():
            raise map_error(exc, path, os_errno=reason) from exc
    # The file exists and is fine: too many files were open, but no longer are.
    try:
        return apsw.Connection(str(path), flags, statementcachesize=STATEMENT_CACHE)
    except apsw.Error as exc:
        raise map_error(exc, path, os_errno=_open_errno(path, flags)) from exc


def _open_errno(path: Path, flags: int) -> int:
    """Return the errno of a failed open. The connection is gone, so ask the system again."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as exc:
        return exc.errno or 0
    if not path.exists():
        closed = path.parent.is_dir() and not os.access(path.parent, os.W_OK | os.X_OK)
        return errno.EACCES if closed else 0
    # Never open the file here: closing it would drop SQLite's locks in this process.
    mode = os.R_OK if flags & apsw.SQLITE_OPEN_READONLY else os.R_OK | os.W_OK
    return 0 if os.access(path, mode) else errno.EACCES
