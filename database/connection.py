"""SQLite databases in WAL mode, opened so that Litestream can replicate them.

Settings follow https://litestream.io/tips/: WAL, a busy timeout (or retries of the same length,
see `database.retry`), `synchronous=NORMAL` by default, checkpoints left to Litestream on request,
and never an exclusive lock.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import quote

import apsw

from database.errors import (
    DatabaseBusy,
    DatabaseError,
    DatabaseFull,
    DatabaseIoFailed,
    map_error,
)

SqlArray: TypeAlias = "apsw.CArrayBinding"
"""What `array_of` makes."""
SqlValue: TypeAlias = "int | float | str | bytes | SqlArray | None"
Row: TypeAlias = "tuple[Any, ...]"
"""One row. Its columns are `SqlValue`s of the types the statement's author knows."""
Synchronous: TypeAlias = Literal["NORMAL", "FULL"]

BUSY_TIMEOUT_MS: Final = 5_000
"""How long a connection outside the event loop waits for a lock."""
_DEFAULT_CACHE_KIB: Final = 2_000
_STATEMENT_CACHE: Final = 64
"""Prepared statements a connection keeps; more than any one package uses."""


def open_database(
    path: Path,
    *,
    create: bool = True,
    cache_kib: int = _DEFAULT_CACHE_KIB,
    synchronous: Synchronous = "NORMAL",
    wal_autocheckpoint: int | None = 1_000,
    read_only: bool = False,
    busy_timeout_ms: int = BUSY_TIMEOUT_MS,
    secure_delete: bool = False,
    counts: WriteCounts | None = None,
) -> Database:
    """Open `path` in WAL mode. The directory must exist.

    `cache_kib` bounds the page cache. `wal_autocheckpoint` is in pages; None leaves every
    checkpoint to another process, even the one at closing. `busy_timeout_ms` blocks the calling
    thread: connections of the event loop pass 0 and go through `database.retry`. With
    `secure_delete` what this connection deletes is overwritten, so that it is not to be found in
    the file any more. `counts` are those of its write transactions; without any it gets its own.
    Raises `DatabaseMissing`, `DatabaseForbidden`, `DatabaseDamaged`, `DatabaseBusy`, …
    """
    flags = apsw.SQLITE_OPEN_READONLY if read_only else apsw.SQLITE_OPEN_READWRITE
    if create and not read_only:
        flags |= apsw.SQLITE_OPEN_CREATE
    db = Database(_connect(path, flags), path, counts)
    with db.closed_on_error():
        _configure(db, cache_kib, synchronous, wal_autocheckpoint, busy_timeout_ms)
        if secure_delete:
            db.run("PRAGMA secure_delete = ON")
    return db


def open_without_room(path: Path, *, cache_kib: int = _DEFAULT_CACHE_KIB) -> RoomlessDatabase:
    """Open `path`, which exists, to be read while its disk has no room.

    A connection usually makes a file of 32 KiB beside the database, the index of its WAL. This
    one makes the file empty and keeps the index in memory. Other connections of this process
    cannot write either for as long as it is open. Raises `DatabaseError`s.
    """
    # Only made, never opened if it is there: closing it would drop locks of SQLite's.
    with suppress(OSError):
        os.close(os.open(f"{path}-shm", os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0o666))
    uri = f"file:{quote(str(path))}?readonly_shm=1"
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    try:
        connection = apsw.Connection(uri, flags, statementcachesize=_STATEMENT_CACHE)
    except apsw.Error as exc:
        raise map_error(exc, path) from exc
    db = RoomlessDatabase(connection, path)
    with db.closed_on_error():
        _configure(db, cache_kib, "NORMAL", None, BUSY_TIMEOUT_MS)
    return db


@dataclass(slots=True)
class WriteCounts:
    """Write transactions since the start, of one database or of several that share the counts.

    Threads may share them as well: one count in a million that is lost so does not matter.
    """

    committed: int = 0
    seconds: float = 0.0
    """How long the committed ones took, from BEGIN to the end of COMMIT."""
    busy: int = 0
    """How many found the file locked by another connection; most are tried again."""


class Database:
    """A connection to one SQLite file.

    Threads may hand it to each other but not use it at the same time. Every method raises
    `DatabaseError`s; SQL is passed with bound parameters.
    """

    __slots__ = ("_execute", "connection", "counts", "path")

    def __init__(
        self, connection: apsw.Connection, path: Path, counts: WriteCounts | None = None
    ) -> None:
        """Wrap an open connection; `open_database` is the way to get one."""
        self.connection = connection
        self.path = path
        self.counts = WriteCounts() if counts is None else counts
        self._execute = connection.execute

    def one(self, sql: str, params: Sequence[SqlValue] = ()) -> Row | None:
        """The first row, or None."""
        try:
            return self._execute(sql, params).fetchone()
        except apsw.Error as exc:
            raise self._error(exc) from exc

    def all(self, sql: str, params: Sequence[SqlValue] = ()) -> list[Row]:
        """Every row. The caller has bounded their number."""
        try:
            return self._execute(sql, params).fetchall()
        except apsw.Error as exc:
            raise self._error(exc) from exc

    def value(self, sql: str, params: Sequence[SqlValue] = ()) -> Any:
        """The first column of the first row, or None."""
        try:
            row = self._execute(sql, params).fetchone()
        except apsw.Error as exc:
            raise self._error(exc) from exc
        return None if row is None else row[0]

    def iter(self, sql: str, params: Sequence[SqlValue] = ()) -> Iterator[Row]:
        """Rows as they are read. Hold a transaction if they must agree with each other."""
        try:
            yield from self._execute(sql, params)
        except apsw.Error as exc:
            raise self._error(exc) from exc

    @contextmanager
    def raw_rows(self, sql: str, params: Sequence[SqlValue] = ()) -> Iterator[Iterable[Row]]:
        """As `iter`, for a loop in a `with` block, in which the cost of a row counts."""
        try:
            yield self._execute(sql, params)
        except apsw.Error as exc:
            raise self._error(exc) from exc

    def iter_batches(self, sql: str, *, rows: int) -> Iterator[list[Row]]:
        """As `iter`, `rows` at a time, for loops in which the cost of a row counts."""
        try:
            cursor = self._execute(sql, ())
            while batch := list(islice(cursor, rows)):
                yield batch
        except apsw.Error as exc:
            raise self._error(exc) from exc

    def run(self, sql: str, params: Sequence[SqlValue] = ()) -> None:
        """Run a statement whose rows, if any, do not matter."""
        try:
            self._execute(sql, params)
        except apsw.Error as exc:
            raise self._error(exc) from exc

    def many(self, sql: str, rows: Iterable[Sequence[SqlValue]]) -> None:
        """Run one statement for each of `rows`."""
        try:
            self.connection.executemany(sql, rows)
        except apsw.Error as exc:
            raise self._error(exc) from exc

    def script(self, sql: str) -> None:
        """Run several statements, separated by semicolons, such as a schema."""
        try:
            for _ in self._execute(sql):
                pass
        except apsw.Error as exc:
            raise self._error(exc) from exc

    @property
    def changes(self) -> int:
        """Rows the last INSERT, UPDATE or DELETE changed."""
        return self.connection.changes()

    def transaction(self) -> WriteTransaction:
        """A `with` block that is one write transaction: committed at its end, or rolled back."""
        return WriteTransaction(self)

    def snapshot(self) -> Transaction:
        """A `with` block whose reads all see the same state."""
        return Transaction(self)

    def rollback(self) -> None:
        """Undo the open transaction, if SQLite has not already done so itself."""
        try:
            if self.connection.in_transaction:
                self._execute("ROLLBACK")
        except apsw.Error as exc:
            raise self._error(exc) from exc

    def checkpoint(self) -> None:
        """Move the WAL into the database and truncate it, as far as readers allow."""
        try:
            self.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except apsw.BusyError:
            # Readers of old pages are left alone: a later checkpoint catches up.
            return
        except apsw.Error as exc:
            raise self._error(exc) from exc

    def interrupt(self) -> None:
        """End the statement that another thread is running, if there is one, with an error."""
        with suppress(apsw.ConnectionClosedError):
            self.connection.interrupt()

    def close_at_once(self) -> None:
        """As `close`, but leave a checkpoint to whoever opens the file next."""
        with suppress(apsw.Error):
            self.connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        self.close()

    def close_in_thread(self) -> None:
        """As `close`, which may checkpoint the WAL, while the event loop goes on.

        apsw keeps all threads of Python waiting for as long as SQLite closes a file.
        """
        with suppress(apsw.Error):
            if not self.connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, -1):
                self.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        self.close()

    def close(self) -> None:
        """Close the file. Closing twice is harmless."""
        try:
            self.connection.close()
        except apsw.Error as exc:
            raise self._error(exc) from exc

    @contextmanager
    def closed_on_error(self) -> Iterator[None]:
        """Close the file if the block fails: for the first steps after opening it."""
        try:
            yield
        except BaseException:
            self.close()
            raise

    def _error(self, exc: apsw.Error) -> DatabaseError:
        os_errno = 0
        with suppress(apsw.Error):
            os_errno = self.connection.system_errno
        return map_error(exc, self.path, os_errno=os_errno)


class Transaction:
    """The `with` block of `Database.snapshot`: reads that all see the same state."""

    __slots__ = ("_db",)

    begin = "BEGIN"

    def __init__(self, db: Database) -> None:
        """Nothing is locked before the block is entered."""
        self._db = db

    def __enter__(self) -> Database:
        self._db.run(self.begin)
        return self._db

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        if kind is not None:
            # What is being handled may have closed the database or ended the transaction.
            with suppress(DatabaseError):
                self._db.rollback()
            return
        try:
            self._db.run("COMMIT")
        except BaseException:
            with suppress(DatabaseError):
                self._db.rollback()
            raise


class WriteTransaction(Transaction):
    """The `with` block of `Database.transaction`: committed at its end, or rolled back."""

    __slots__ = ("_started",)

    # IMMEDIATE: a transaction that reads first and writes later fails at once when another
    # writer came between, and no busy timeout helps it.
    begin = "BEGIN IMMEDIATE"

    def __enter__(self) -> Database:
        self._started = perf_counter()
        try:
            return super().__enter__()
        except DatabaseBusy:
            self._db.counts.busy += 1
            raise

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        super().__exit__(kind, exc, tb)
        if kind is None:
            counts = self._db.counts
            counts.committed += 1
            counts.seconds += perf_counter() - self._started


class RoomlessDatabase(Database):
    """A connection for reading only, since the disk has no room: see `open_without_room`.

    What would write raises `DatabaseFull`.
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


def array_of(values: Iterable[str] | Iterable[bytes]) -> SqlArray | None:
    """Bind many `values` as the one parameter that `FROM carray(?)` of a statement reads.

    They are all text or all bytes, and text is without zero characters. A statement over an array
    does its work for thousands of rows in one call of SQLite, during which other threads of Python
    run; `Database.many` comes back to Python for every row.

    SQLite: https://www.sqlite.org/carray.html
    """
    items = tuple(values)
    # For apsw an array has at least one item; SQLite reads NULL as one without any.
    return apsw.carray(items) if items else None


def _configure(
    db: Database,
    cache_kib: int,
    synchronous: Synchronous,
    wal_autocheckpoint: int | None,
    busy_timeout_ms: int,
) -> None:
    db.connection.set_busy_timeout(busy_timeout_ms)
    # Reads the header, so that a file which is no database is found out here.
    mode = db.value("PRAGMA journal_mode = WAL")
    if mode != "wal":
        raise DatabaseIoFailed(db.path, f"journal mode is {mode}: the disk cannot hold a WAL")
    # Plans that do not depend on the values bound: with STAT4, as apsw builds SQLite, a statement
    # of several tables would otherwise be planned anew each time it runs.
    db.connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    db.run(f"PRAGMA synchronous = {synchronous}")
    db.run("PRAGMA foreign_keys = ON")
    db.run(f"PRAGMA cache_size = -{cache_kib}")
    db.connection.wal_autocheckpoint(wal_autocheckpoint or 0)
    if wal_autocheckpoint is None:
        db.connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)


def _connect(path: Path, flags: int) -> apsw.Connection:
    try:
        return apsw.Connection(str(path), flags, statementcachesize=_STATEMENT_CACHE)
    except apsw.Error as exc:
        reason = _open_errno(path, flags)
        if reason or not path.is_file():
            raise map_error(exc, path, os_errno=reason) from exc
    # It is there, and nothing is wrong with it: too many files were open, and no longer are.
    try:
        return apsw.Connection(str(path), flags, statementcachesize=_STATEMENT_CACHE)
    except apsw.Error as exc:
        raise map_error(exc, path, os_errno=_open_errno(path, flags)) from exc


def _open_errno(path: Path, flags: int) -> int:
    """Why opening failed: the connection is gone, so ask the system again."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as exc:
        return exc.errno or 0
    if not path.exists():
        closed = path.parent.is_dir() and not os.access(path.parent, os.W_OK | os.X_OK)
        return errno.EACCES if closed else 0
    # Never opened here: closing it would drop the locks that SQLite has in this process.
    mode = os.R_OK if flags & apsw.SQLITE_OPEN_READONLY else os.R_OK | os.W_OK
    return 0 if os.access(path, mode) else errno.EACCES
