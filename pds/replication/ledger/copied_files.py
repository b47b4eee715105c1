"""Which files other than databases the replica has: blobs, keys that nobody owns yet, secrets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from database.connection import Database

_GET: Final = "SELECT name, did, sizeBytes, digest, deletedAtMs FROM copied_file WHERE name = ?"
_OF: Final = (
    "SELECT name, did, sizeBytes, digest, deletedAtMs FROM copied_file"
    " WHERE did = ? AND name > ? ORDER BY name LIMIT ?"
)
_ADD: Final = (
    "INSERT INTO copied_file (name, did, sizeBytes, digest, copiedAtMs) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT DO UPDATE SET did = excluded.did, sizeBytes = excluded.sizeBytes,"
    " digest = excluded.digest, copiedAtMs = excluded.copiedAtMs, deletedAtMs = NULL"
)
_MARK_DELETED: Final = (
    "UPDATE copied_file SET deletedAtMs = ? WHERE name = ? AND deletedAtMs IS NULL"
)
_MARK_DELETED_OF: Final = (
    "UPDATE copied_file SET deletedAtMs = ? WHERE did = ? AND deletedAtMs IS NULL"
)
_UNDELETE: Final = "UPDATE copied_file SET deletedAtMs = NULL WHERE name = ?"
_EXPIRED: Final = (
    "SELECT name, did, sizeBytes, digest, deletedAtMs FROM copied_file"
    " WHERE deletedAtMs <= ? ORDER BY deletedAtMs LIMIT ?"
)
_REMOVE: Final = "DELETE FROM copied_file WHERE name = ?"


@dataclass(frozen=True, slots=True)
class CopiedFile:
    """A file of the replica that is a copy of one here."""

    name: str
    did: str
    """Whose it is; empty for the server's own."""
    size_bytes: int
    digest: bytes | None = None
    deleted_at_ms: int | None = None
    """When the original was found to be gone."""


class CopiedFiles:
    """The table `copied_file`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def find(self, name: str) -> CopiedFile | None:
        """Return the file of this name."""
        row = self._db.one(_GET, (name,))
        return None if row is None else CopiedFile(*row)

    def of(self, did: str, *, after: str = "", limit: int = 1_000) -> list[CopiedFile]:
        """Return files of one DID ordered by name, deleted ones included, from a name on."""
        return [CopiedFile(*row) for row in self._db.all(_OF, (did, after, limit))]

    def add(self, files: Iterable[CopiedFile], *, now_ms: int) -> None:
        """Remember that files were copied; they count as there again."""
        self._db.many(
            _ADD, [(file.name, file.did, file.size_bytes, file.digest, now_ms) for file in files]
        )

    def mark_deleted(self, names: Iterable[str], *, now_ms: int) -> None:
        """Remember that the originals of files are gone; an earlier time is kept."""
        self._db.many(_MARK_DELETED, [(now_ms, name) for name in names])

    def mark_deleted_of(self, did: str, *, now_ms: int) -> None:
        """Remember that the originals of all files of a DID are gone."""
        self._db.run(_MARK_DELETED_OF, (now_ms, did))

    def undelete(self, names: Iterable[str]) -> None:
        """Remember that originals are back, unchanged."""
        self._db.many(_UNDELETE, [(name,) for name in names])

    def deleted_before(self, ms: int, *, limit: int) -> list[CopiedFile]:
        """Return files whose originals went before a time, the first ones first."""
        return [CopiedFile(*row) for row in self._db.all(_EXPIRED, (ms, limit))]

    def remove(self, names: Iterable[str]) -> None:
        """Forget files, which the replica no longer has."""
        self._db.many(_REMOVE, [(name,) for name in names])
