"""How much room an actor takes: its database, and the blobs it has uploaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from actor_store.blobs import BlobReader
    from actor_store.records import RecordReader
    from database.connection import Database


@dataclass(slots=True, frozen=True)
class Usage:
    """The room that an actor takes, and for how much."""

    database_bytes: int
    """Of pages in use. The file may be longer, for it does not shrink by itself."""
    blob_bytes: int
    """Of all uploads, also of those that no record refers to yet."""
    records: int
    blobs: int

    @property
    def used_bytes(self) -> int:
        """Database and blobs together: what a quota is compared with."""
        return self.database_bytes + self.blob_bytes


class UsageReader:
    """Reads how much room one actor takes."""

    def __init__(self, db: Database, records: RecordReader, blobs: BlobReader) -> None:
        self._db = db
        self._records = records
        self._blobs = blobs
        self._page_bytes = 0

    def database_bytes(self) -> int:
        """Bytes of the pages in use, those of the open transaction included."""
        value = self._db.value
        if not self._page_bytes:
            # A file keeps the size of its pages.
            self._page_bytes = value("PRAGMA page_size")
        pages = value("PRAGMA page_count") - value("PRAGMA freelist_count")
        return int(pages * self._page_bytes)

    def used_bytes(self) -> int:
        """Database and blobs together. Takes the same few microseconds for any number of them."""
        return self.database_bytes() + self._blobs.totals().size_bytes

    def read(self) -> Usage:
        """All there is to know. Counts every record, so it may take milliseconds."""
        totals = self._blobs.totals()
        return Usage(
            database_bytes=self.database_bytes(),
            blob_bytes=totals.size_bytes,
            records=self._records.count(),
            blobs=totals.count,
        )
