"""Which secret files are in the replica: the table `key_copy` of the ledger."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from pds.replication.copies.signature import Signature

if TYPE_CHECKING:
    from database.connection import Database

_COLUMNS: Final = "kind, name, size, mtimeNs, inode, digest, sealing, goneAtS"
_PUT: Final = f"INSERT OR REPLACE INTO key_copy ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_FIND: Final = f"SELECT {_COLUMNS} FROM key_copy WHERE kind = ? AND name = ?"
_PAGE: Final = """
    SELECT name FROM key_copy WHERE kind = ? AND name > ? AND goneAtS IS NULL ORDER BY name LIMIT ?
"""
_EXPIRED: Final = f"SELECT {_COLUMNS} FROM key_copy WHERE goneAtS < ? ORDER BY goneAtS LIMIT ?"
_MARK_GONE: Final = """
    UPDATE key_copy SET goneAtS = ? WHERE kind = ? AND name = ? AND goneAtS IS NULL
"""


class KeyKind(StrEnum):
    """Where a secret file is."""

    ACTOR = "actor"
    """The signing key of an actor, named by the DID."""
    RESERVED = "reserved"
    """A key for an actor to come, named by a DID or did:key."""
    FILE = "file"
    """A file in the data directory, such as `hold.env`."""


@dataclass(slots=True, frozen=True)
class KeyRow:
    """A secret file in the replica."""

    kind: KeyKind
    name: str
    signature: Signature
    digest: bytes
    """SHA-256 of a signing key, which tells nothing: 256 random bits cannot be guessed.

    Empty for other files, whose secrets somebody may have chosen.
    """
    sealing: str
    """`clear`, or which recipient can open the copy."""
    gone_s: int | None = None
    """Since when there is no local file, in Unix seconds."""


class KeyRows:
    """The table `key_copy`. Methods raise `DatabaseError`s."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def find(self, kind: KeyKind, name: str) -> KeyRow | None:
        """Return the row of a file."""
        row = self._db.one(_FIND, (kind, name))
        return None if row is None else _row(*row)

    def put(self, row: KeyRow) -> None:
        """Insert or replace a row."""
        sign = row.signature
        values = (row.digest, row.sealing, row.gone_s)
        self._db.run(_PUT, (row.kind, row.name, sign.size, sign.mtime_ns, sign.inode, *values))

    def page(self, kind: KeyKind, *, after: str, limit: int) -> list[str]:
        """Return the names, in order, of files that are not known to be gone."""
        return [name for (name,) in self._db.all(_PAGE, (kind, after, limit))]

    def mark_gone(self, kind: KeyKind, names: Iterable[str], *, now_s: int) -> None:
        """Begin the retention of files that are not there any more."""
        with self._db.transaction():
            self._db.many(_MARK_GONE, [(now_s, kind, name) for name in names])

    def expired(self, *, before_s: int, limit: int) -> list[KeyRow]:
        """Return files that have been gone since before a time."""
        return [_row(*row) for row in self._db.all(_EXPIRED, (before_s, limit))]

    def delete(self, rows: Iterable[KeyRow]) -> None:
        """Delete rows."""
        with self._db.transaction():
            self._db.many(
                "DELETE FROM key_copy WHERE kind = ? AND name = ?",
                [(row.kind, row.name) for row in rows],
            )


def _row(
    kind: str,
    name: str,
    size: int,
    mtime_ns: int,
    inode: int,
    digest: bytes,
    sealing: str,
    gone_s: int | None,
) -> KeyRow:
    return KeyRow(KeyKind(kind), name, Signature(size, mtime_ns, inode), digest, sealing, gone_s)
