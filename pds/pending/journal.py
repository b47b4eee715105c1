"""The journal of changes that span several stores, so that a crash cannot leave one half done.

The table is our own addition to the service database; the reference PDS ignores it. An entry is
written before the first step and deleted after the last, so an entry found at start belongs to an
interrupted change. `pds.lifecycle.changes` settles those.
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
    """A change in progress.

    `create` and `delete` concern an account; `handle` changes its handle to `detail`; `identity` is
    the PLC operation with the CID `detail`; `damaged` is an actor store that could not be read, for
    the reason `detail`, and is re-checked at every start.
    """

    kind: ChangeKind
    did: Did
    detail: str = ""


def read_damaged(db: Database) -> dict[str, str]:
    """Return the reasons of all stores known to be damaged, by DID; `db` may be read-only."""
    if not db.connection.table_exists("main", "holdfast_journal"):
        return {}
    return dict(db.all("SELECT did, detail FROM holdfast_journal WHERE kind = 'damaged'"))


class Journal:
    """Entries by kind and DID. Methods raise `DatabaseError`s."""

    def __init__(self, db: Database) -> None:
        """Create the table in `db`, the service database, if necessary."""
        self._db = db
        db.run(_SCHEMA)

    def entries(self) -> list[Entry]:
        """Return all entries."""
        return [
            Entry(*row) for row in self._db.all("SELECT kind, did, detail FROM holdfast_journal")
        ]

    async def add(self, entry: Entry, *, durably: bool = True) -> None:
        """Write an entry, replacing one of the same kind and DID.

        `durably` waits until a power failure cannot lose it, for changes whose next step is outside
        the service database.
        """
        row = (entry.kind, entry.did, entry.detail)
        await write(self._db, lambda: self._db.run(_ADD, row))
        if durably:
            await self._sync()

    async def drop(self, entry: Entry, *, durably: bool = True) -> None:
        """Delete the entry of a change that is complete or was undone.

        `durably` also syncs the earlier commits of the service database.
        """
        row = (entry.kind, entry.did)
        await write(self._db, lambda: self._db.run(_DROP, row))
        if durably:
            await self._sync()

    async def _sync(self) -> None:
        await asyncio.to_thread(sync_wal, self._db.path)
