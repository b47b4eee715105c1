"""`standby.sqlite`: of which server a directory is a standby, and how far each database is.

A transaction is noted after it is on disk. If the process dies in between, its files are applied
once more, which changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from database.migrations import Migration, migrate
from database.opening import open_database

if TYPE_CHECKING:
    from database.connection import Database

_SCHEMA: Final = """
CREATE TABLE copy (
    name TEXT PRIMARY KEY, -- of a database in the replica
    txid INTEGER NOT NULL, -- the transaction that the local file is at, or beyond
    begun INTEGER NOT NULL -- that of its row in the ledger; 0 for databases without a row
) STRICT, WITHOUT ROWID;
CREATE TABLE state (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
"""
_MIGRATIONS: Final = (Migration("001", _SCHEMA),)
_PUT: Final = "INSERT OR REPLACE INTO copy (name, txid, begun) VALUES (?, ?, ?)"
_PAGE: Final = "SELECT name FROM copy WHERE name > ? ORDER BY name LIMIT ?"


@dataclass(frozen=True, slots=True)
class Copied:
    """How far a database is."""

    txid: int
    begun: int
    """When its transactions began to be counted: another number makes others of them."""


class StandbyState:
    """The open file. Methods are short statements, and raise `DatabaseError`s."""

    def __init__(self, db: Database) -> None:
        self._db = db

    @classmethod
    def open(cls, path: Path) -> StandbyState:
        """Open or create the file. Raises `DatabaseError`s."""
        db = open_database(path)
        with db.closed_on_error():
            migrate(db, _MIGRATIONS)
        return cls(db)

    def close(self) -> None:
        """Close the file. Closing twice is harmless."""
        self._db.close()

    def get(self, name: str) -> str | None:
        """Return a single value."""
        value: str | None = self._db.value("SELECT value FROM state WHERE name = ?", (name,))
        return value

    def set(self, name: str, value: str) -> None:
        """Set a single value."""
        self._db.run("INSERT OR REPLACE INTO state (name, value) VALUES (?, ?)", (name, value))

    def find(self, name: str) -> Copied | None:
        """Return how far a database is; None if it is not here."""
        row = self._db.one("SELECT txid, begun FROM copy WHERE name = ?", (name,))
        return None if row is None else Copied(*row)

    def put(self, name: str, copied: Copied) -> None:
        """Note how far a database is: what it is at must be on disk."""
        self._db.run(_PUT, (name, copied.txid, copied.begun))

    def forget(self, name: str) -> None:
        """Note that a database is not here any more."""
        self._db.run("DELETE FROM copy WHERE name = ?", (name,))

    def begin_anew(self) -> None:
        """Note that no database can be brought further in place: all are to be copied anew."""
        self._db.run("UPDATE copy SET begun = -1")

    def page(self, *, after: str, limit: int) -> list[str]:
        """Return the names of databases that are here, in order."""
        return [name for (name,) in self._db.all(_PAGE, (after, limit))]

    def count(self) -> int:
        """Return how many databases are here."""
        return int(self._db.value("SELECT count(*) FROM copy"))
