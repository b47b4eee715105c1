"""The space used by an actor: its database, and its uploaded blobs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from actor_store.blobs import BlobReader
    from actor_store.records import RecordReader
    from database.connection import Database


@dataclass(slots=True, frozen=True)
class Usage:
    """The space that an actor uses, and what for."""

    database_bytes: int
    """Size of the pages in use. The file may be longer, as it does not shrink by itself."""
    blob_bytes: int
    """Size of all uploads, including those that no record refers to yet."""
    records: int
    blobs: int

    @property
    def used_bytes(self) -> int:
        """The size of database and blobs together, which is compared with the quota."""
        return self.database_bytes + self.blob_bytes


class UsageReader:
    """Reads the space used by one actor."""

    def __init__(self, db: Database, records: RecordReader, blobs: BlobReader) -> None:
        self._db = db
        self._records = records
        self._blobs = blobs
        self._page_bytes = 0

    def database_bytes(self) -> int:
        """Return the size of the pages in use, including those of the open transaction."""
        value = self._db.value
        if not self._page_bytes:
            # A file's page size does not change.
            self._page_bytes = value("PRAGMA page_size")
        pages = value("PRAGMA page_count") - value("PRAGMA freelist_count")
        return int(pages * self._page_bytes)

    def used_bytes(self) -> int:
        """Return the size of database and blobs together, in a few microseconds at any size."""
        return self.database_bytes() + self._blobs.totals().size_bytes

    def read(self) -> Usage:
        """Return the full details. Counts every record, so it may take milliseconds."""
        totals = self._blobs.totals()
        return Usage(
            database_bytes=self.database_bytes(),
            blob_bytes=totals.size_bytes,
            records=self._records.count(),
            blobs=totals.count,
        )
