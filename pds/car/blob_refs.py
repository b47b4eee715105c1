"""The set of blobs that records refer to, of any size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self

from database.connection import Database
from database.temporary import open_scratch
from repo.cid import Cid
from repo.datamodel import BlobRef, iter_blob_refs, iter_legacy_blobs
from repo.mst import TreeRecord
from repo.odd_record import read_kept
from repo.record import InvalidRecord

UNKNOWN_TYPE: Final = ""
UNKNOWN_SIZE: Final = -1
"""The size of a blob in the pre-2023 form."""

_MARK: Final = b"mimeType"
"""Every record that refers to a blob, typed or legacy, has this key; most refer to none."""
_TABLE: Final = (
    "CREATE TABLE blob (cid BLOB PRIMARY KEY, mimeType TEXT NOT NULL, size INTEGER NOT NULL)"
    " STRICT, WITHOUT ROWID"
)


@dataclass(slots=True)
class Share:
    """A number of blocks or blobs, and their bytes."""

    count: int = 0
    size_bytes: int = 0

    def add(self, size_bytes: int) -> None:
        """Count one more."""
        self.count += 1
        self.size_bytes += size_bytes


class BlobRefs:
    """A set of blobs, kept on disk. Use `close` or a `with` block."""

    def __init__(self) -> None:
        self._db: Database = open_scratch()
        self._db.run(_TABLE)

    def add(self, record: TreeRecord, block: bytes) -> None:
        """Add the blobs a record refers to. If two records disagree about a blob, the first counts.

        An unreadable record refers to nothing.
        """
        if _MARK not in block:
            return
        try:
            value = read_kept(block)
        except InvalidRecord:
            return
        legacy = (
            BlobRef(Cid.parse(cid), UNKNOWN_TYPE, UNKNOWN_SIZE) for cid in iter_legacy_blobs(value)
        )
        for ref in (*iter_blob_refs(value), *legacy):
            self._db.run(
                "INSERT OR IGNORE INTO blob (cid, mimeType, size) VALUES (?, ?, ?)",
                (ref.cid.raw, ref.mime_type, ref.size),
            )

    def total(self) -> Share:
        """Return their number and the size claimed by records; the legacy form claims none."""
        total = Share()
        for ref in self:
            total.add(max(ref.size, 0))
        return total

    def __iter__(self) -> Iterator[BlobRef]:
        """Yield each blob, ordered by CID."""
        for raw, mime_type, size in self._db.iter(
            "SELECT cid, mimeType, size FROM blob ORDER BY cid"
        ):
            yield BlobRef(Cid(raw), mime_type, size)

    def close(self) -> None:
        """Delete the set. May be repeated."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
