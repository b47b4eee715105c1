"""Transactions as `with` blocks, and counts of those that write."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING

from database.errors import DatabaseBusy, DatabaseError

if TYPE_CHECKING:
    from database.connection import Database


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
