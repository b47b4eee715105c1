"""A connection to one SQLite file: statements, transactions, and arrays as parameters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Any, Final, TypeAlias

import apsw

from database.durability import EVENTUAL, Durability
from database.errors import (
    DatabaseBusy,
    DatabaseError,
    map_error,
)
from database.wal_index import unmap_pages

SqlArray: TypeAlias = "apsw.CArrayBinding"
"""The result of `array_of`."""
SqlValue: TypeAlias = "int | float | str | bytes | SqlArray | None"
Row: TypeAlias = "tuple[Any, ...]"
"""One row. Its columns are `SqlValue`s; the author of the statement knows their types."""

STATEMENT_CACHE: Final = 64
"""Prepared statements kept per connection; more than any one package uses."""
_USES: Final = ((),) * STATEMENT_CACHE


@dataclass(slots=True)
class WriteCounts:
    """Counts of write transactions since the start, for one database or several together.

    Threads may share them, too: one lost count in a million does not matter.
    """

    committed: int = 0
    seconds: float = 0.0
    """Total duration of the committed ones, from BEGIN to the end of COMMIT."""
    busy: int = 0
    """Transactions that found the file locked by another connection; most are retried."""


class Database:
    """A connection to one SQLite file.

    Threads may pass it on but not use it at the same time. Every method raises `DatabaseError`s;
    SQL is passed with bound parameters.
    """

    __slots__ = ("_execute", "connection", "counts", "durability", "path")

    def __init__(
        self,
        connection: apsw.Connection,
        path: Path,
        counts: WriteCounts | None = None,
        durability: Durability = EVENTUAL,
    ) -> None:
        """Wrap an open connection; use `open_database` to get one."""
        self.connection = connection
        self.path = path
        self.durability = durability
        """Told of every write transaction."""
        self.counts = WriteCounts() if counts is None else counts
        self._execute = connection.execute

    def one(self, sql: str, params: Sequence[SqlValue] = ()) -> Row | None:
        """Return the first row, or None."""
        try:
            return self._execute(sql, params).fetchone()
        except apsw.Error as exc:
            raise self._error(exc) from exc

    def all(self, sql: str, params: Sequence[SqlValue] = ()) -> list[Row]:
        """Return all rows. The caller must bound their number."""
        try:
            return self._execute(sql, params).fetchall()
        except apsw.Error as exc:
            raise self._error(exc) from exc

    def value(self, sql: str, params: Sequence[SqlValue] = ()) -> Any:
        """Return the first column of the first row, or None."""
        try:
            row = self._execute(sql, params).fetchone()
        except apsw.Error as exc:
            raise self._error(exc) from exc
        return None if row is None else row[0]

    def iter(self, sql: str, params: Sequence[SqlValue] = ()) -> Iterator[Row]:
        """Yield rows as they are read. Hold a transaction if they must be consistent."""
        try:
            yield from self._execute(sql, params)
        except apsw.Error as exc:
            raise self._error(exc) from exc

    @contextmanager
    def raw_rows(self, sql: str, params: Sequence[SqlValue] = ()) -> Iterator[Iterable[Row]]:
        """Return rows like `iter`, as a `with` block for loops where the cost per row matters."""
        try:
            yield self._execute(sql, params)
        except apsw.Error as exc:
            raise self._error(exc) from exc

    def iter_batches(self, sql: str, *, rows: int) -> Iterator[list[Row]]:
        """Yield rows like `iter`, `rows` at a time, for loops where the cost per row matters."""
        try:
            cursor = self._execute(sql, ())
            while batch := list(islice(cursor, rows)):
                yield batch
        except apsw.Error as exc:
            raise self._error(exc) from exc

    def run(self, sql: str, params: Sequence[SqlValue] = ()) -> None:
        """Run a statement and discard its rows, if any."""
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
        """Return the number of rows changed by the last INSERT, UPDATE or DELETE."""
        return self.connection.changes()

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        try:
            return self.connection.in_transaction
        except apsw.Error as exc:
            raise self._error(exc) from exc

    def transaction(self, *, lasting: bool = True) -> WriteTransaction:
        """Return a `with` block for one write transaction: committed at its end, or rolled back.

        Nothing makes one durable that is not `lasting`, but a later one of the same file.
        """
        return WriteTransaction(self, lasting=lasting)

    def snapshot(self) -> Transaction:
        """Return a `with` block whose reads all see the same state."""
        return Transaction(self)

    def rollback(self) -> None:
        """Roll back the open transaction, unless SQLite has already done so."""
        try:
            if self.connection.in_transaction:
                self._execute("ROLLBACK")
        except apsw.Error as exc:
            raise self._error(exc) from exc

    def checkpoint(self) -> None:
        """Checkpoint and truncate the WAL, as far as readers allow."""
        try:
            self.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except apsw.BusyError:
            # Readers still use old pages; a later checkpoint catches up.
            return
        except apsw.Error as exc:
            raise self._error(exc) from exc

    def release_memory(self) -> None:
        """Free cached pages and prepared statements, some 100 KiB; the next use makes them anew.

        Not within a transaction. The parsed schema stays, for it takes longest to make.
        """
        try:
            # apsw drops the statement that was used least recently for each use of another one.
            self.connection.executemany("SELECT 1 WHERE 0", _USES).fetchall()
            self.connection.release_memory()
            unmap_pages(self.connection)
        except apsw.Error as exc:
            raise self._error(exc) from exc

    def interrupt(self) -> None:
        """Abort the statement running in another thread, if any, with an error."""
        with suppress(apsw.ConnectionClosedError):
            self.connection.interrupt()

    def close_at_once(self) -> None:
        """Close without a checkpoint, which is left to the next opener of the file."""
        with suppress(apsw.Error):
            self.connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        self.close()

    def close_in_thread(self) -> None:
        """Close in a thread, because closing may checkpoint the WAL, while the event loop goes on.

        apsw holds the GIL while SQLite closes a file.
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
        """Lock nothing until the block is entered."""
        self._db = db

    def __enter__(self) -> Database:
        self._db.run(self.begin)
        return self._db

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        if kind is not None:
            # The exception being handled may have closed the database or ended the transaction.
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

    __slots__ = ("_lasting", "_started")

    # IMMEDIATE, because a transaction that reads first and writes later fails at once if
    # another writer got in between, and no busy timeout helps.
    begin = "BEGIN IMMEDIATE"

    def __init__(self, db: Database, *, lasting: bool = True) -> None:
        """Lock nothing until the block is entered."""
        super().__init__(db)
        self._lasting = lasting

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
            if self._lasting:
                self._db.durability.note(self._db.path)
            counts = self._db.counts
            counts.committed += 1
            counts.seconds += perf_counter() - self._started


def array_of(values: Iterable[str] | Iterable[bytes]) -> SqlArray | None:
    """Bind many `values` as a single parameter, read by `FROM carray(?)` in the statement.

    They must be all text, without zero characters, or all bytes. A statement over an array handles
    thousands of rows in one call of SQLite, during which other Python threads run; `Database.many`
    returns to Python for every row.

    SQLite: https://www.sqlite.org/carray.html
    """
    items = tuple(values)
    # apsw requires at least one item; SQLite treats NULL as an empty array.
    return apsw.carray(items) if items else None
