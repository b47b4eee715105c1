"""The journal of changes that touch more than one place: what a crash left unfinished.

A table of our own in the service database, which the reference PDS ignores. An entry is written
before the first step and deleted after the last, so one that is found at start belongs to a
change that was cut off. What to do then stands in `pds.lifecycle.changes`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from database.connection import Database
from database.retry import write
from database.wal import sync_wal
from repo.syntax import Did

ChangeKind: TypeAlias = Literal["create", "handle", "identity", "delete", "damaged"]

_NORMAL: Final = 1
"""What `PRAGMA synchronous` calls NORMAL."""
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS holdfast_journal (
  kind TEXT NOT NULL,
  did TEXT NOT NULL,
  detail TEXT NOT NULL,
  PRIMARY KEY (kind, did)
) STRICT, WITHOUT ROWID
"""
_ADD: Final = "INSERT OR REPLACE INTO holdfast_journal (kind, did, detail) VALUES (?, ?, ?)"
_DROP: Final = "DELETE FROM holdfast_journal WHERE kind = ? AND did = ?"


@dataclass(frozen=True, slots=True)
class Entry:
    """A change that is under way.

    `create` and `delete` are of an account, `handle` gives it the handle `detail`, `identity`
    is the PLC operation with the CID `detail`; `damaged` is an actor store that could not be
    read, for the reason `detail`, and is looked at again at every start.
    """

    kind: ChangeKind
    did: Did
    detail: str = ""


def read_damaged(db: Database) -> dict[str, str]:
    """Why the stores that the server has found damaged are, by DID; `db` may be read only."""
    if not db.connection.table_exists("main", "holdfast_journal"):
        return {}
    return dict(db.all("SELECT did, detail FROM holdfast_journal WHERE kind = 'damaged'"))


class Journal:
    """Entries by kind and DID. Methods raise `DatabaseError`s."""

    def __init__(self, db: Database) -> None:
        """Make the table if need be; `db` is the service database."""
        self._db = db
        db.run(_SCHEMA)

    def entries(self) -> list[Entry]:
        """Everything that is unfinished."""
        return [
            Entry(*row) for row in self._db.all("SELECT kind, did, detail FROM holdfast_journal")
        ]

    async def add(self, entry: Entry, *, durably: bool = True) -> None:
        """Write an entry, in place of one of the same kind and DID.

        `durably` waits until not even a power failure can lose it: for changes whose next step
        is outside of the service database.
        """
        row = (entry.kind, entry.did, entry.detail)
        await write(self._db, lambda: self._db.run(_ADD, row))
        if durably:
            await self._sync()

    async def drop(self, entry: Entry, *, durably: bool = True) -> None:
        """Delete an entry: its change is complete, or never happened.

        `durably` also syncs what has been committed to the service database before.
        """
        row = (entry.kind, entry.did)
        await write(self._db, lambda: self._db.run(_DROP, row))
        if durably:
            await self._sync()

    async def _sync(self) -> None:
        # With synchronous=FULL every commit has done so itself.
        if self._db.value("PRAGMA synchronous") == _NORMAL:
            await asyncio.to_thread(sync_wal, self._db.path)
