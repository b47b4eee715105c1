"""Which blobs are in the replica: the tables `blob_directory` and `blob_copy` of the ledger."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pds.replication.copies.blob_directories import BlobDirectory
from pds.replication.ledger.state_rows import BLOBS_LEARNED, StateRows

if TYPE_CHECKING:
    from database.connection import Database

_FIND_DIRECTORY: Final = "SELECT id, mtimeNs, comparedAtS FROM blob_directory WHERE path = ?"
_ADD_DIRECTORY: Final = """
    INSERT INTO blob_directory (path, mtimeNs, comparedAtS) VALUES (?, 0, 0) RETURNING id
"""
_SET_COMPARED: Final = "UPDATE blob_directory SET mtimeNs = ?, comparedAtS = ? WHERE id = ?"
_DIRECTORIES: Final = "SELECT id, path FROM blob_directory WHERE id > ? ORDER BY id LIMIT ?"
_DELETE_EMPTY: Final = """
    DELETE FROM blob_directory WHERE id = ?1
    AND NOT EXISTS (SELECT 1 FROM blob_copy WHERE directory = ?1)
"""
_PAGE: Final = """
    SELECT digest, goneAtS IS NOT NULL FROM blob_copy
    WHERE directory = ? AND digest > ? ORDER BY digest LIMIT ?
"""
_PUT: Final = """
    INSERT OR REPLACE INTO blob_copy (directory, digest, size, goneAtS) VALUES (?, ?, ?, NULL)
"""
_MARK_GONE: Final = """
    UPDATE blob_copy SET goneAtS = ? WHERE directory = ? AND digest = ? AND goneAtS IS NULL
"""
_MARK_BACK: Final = "UPDATE blob_copy SET goneAtS = NULL WHERE directory = ? AND digest = ?"
_EXPIRED: Final = """
    SELECT directory, path, digest, size FROM blob_copy
    JOIN blob_directory ON id = directory WHERE goneAtS < ? ORDER BY goneAtS LIMIT ?
"""


@dataclass(slots=True, frozen=True)
class DirectoryRow:
    """A directory of the ledger."""

    id: int
    mtime_ns: int
    """The time of the directory when every file in it had been copied; 0 if it never was."""
    compared_s: int
    """When its files were last listed, in Unix seconds."""


@dataclass(slots=True, frozen=True)
class BlobRow:
    """A blob in the replica."""

    directory_id: int
    directory: BlobDirectory
    digest: bytes
    size: int

    @property
    def copy_name(self) -> str:
        """Its name in the replica."""
        return self.directory.copy_of(self.digest)


class BlobRows:
    """The two tables. Methods raise `DatabaseError`s."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._state = StateRows(db)

    @property
    def are_complete(self) -> bool:
        """Whether the replica has no blobs but those with rows."""
        return bool(self._state.get(BLOBS_LEARNED))

    def set_complete(self) -> None:
        """Note that all blobs of the replica have rows."""
        self._state.set(BLOBS_LEARNED, "yes")

    def find_directory(self, directory: BlobDirectory) -> DirectoryRow | None:
        """Return the row of a directory."""
        row = self._db.one(_FIND_DIRECTORY, (directory.path,))
        return None if row is None else DirectoryRow(*row)

    def add_directory(self, directory: BlobDirectory) -> DirectoryRow:
        """Return the row of a directory, inserted if it is missing."""
        row = self.find_directory(directory)
        if row is None:
            row = DirectoryRow(self._db.value(_ADD_DIRECTORY, (directory.path,)), 0, 0)
        return row

    def set_compared(self, directory_id: int, *, mtime_ns: int, now_s: int) -> None:
        """Note that every file of a directory has a row, as of its time `mtime_ns`."""
        self._db.run(_SET_COMPARED, (mtime_ns, now_s, directory_id))

    def directories(self, *, after_id: int, limit: int) -> list[tuple[int, BlobDirectory]]:
        """Return a page of all directories, each with its id."""
        rows = self._db.all(_DIRECTORIES, (after_id, limit))
        return [(row_id, BlobDirectory(path)) for row_id, path in rows]

    def delete_directory(self, directory_id: int) -> None:
        """Delete the row of a directory that has none left of blobs."""
        self._db.run(_DELETE_EMPTY, (directory_id,))

    def page(self, directory_id: int, *, after: bytes, limit: int) -> dict[bytes, bool]:
        """Return digests of a directory, in order, each with whether its file is gone."""
        rows = self._db.all(_PAGE, (directory_id, after, limit))
        return {digest: bool(is_gone) for digest, is_gone in rows}

    def put(self, directory_id: int, blobs: Iterable[tuple[bytes, int]]) -> None:
        """Insert blobs, given as digest and size in bytes."""
        with self._db.transaction():
            self._db.many(_PUT, [(directory_id, digest, size) for digest, size in blobs])

    def mark(
        self, directory_id: int, *, gone: Iterable[bytes], back: Iterable[bytes], now_s: int
    ) -> None:
        """Begin the retention of blobs that are not there any more, and end it for others."""
        with self._db.transaction():
            self._db.many(_MARK_GONE, [(now_s, directory_id, digest) for digest in gone])
            self._db.many(_MARK_BACK, [(directory_id, digest) for digest in back])

    def expired(self, *, before_s: int, limit: int) -> list[BlobRow]:
        """Return blobs that have been gone since before a time."""
        rows = self._db.all(_EXPIRED, (before_s, limit))
        return [
            BlobRow(row_id, BlobDirectory(path), digest, size)
            for row_id, path, digest, size in rows
        ]

    def delete(self, blobs: Iterable[BlobRow]) -> None:
        """Delete rows of blobs."""
        with self._db.transaction():
            self._db.many(
                "DELETE FROM blob_copy WHERE directory = ? AND digest = ?",
                [(blob.directory_id, blob.digest) for blob in blobs],
            )
