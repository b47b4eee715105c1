"""How much a hold has, as `hold.sqlite` knows it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from database.opening import open_database

_TOTALS: Final = (
    "SELECT (SELECT count(*) FROM blob), (SELECT coalesce(sum(sizeBytes), 0) FROM blob),"
    " (SELECT count(*) FROM upload WHERE state IN ('open', 'checking')),"
    " (SELECT coalesce(sum(pulls), 0) FROM count), (SELECT coalesce(sum(pushes), 0) FROM count)"
)


@dataclass(frozen=True, slots=True)
class HoldTotals:
    """Blobs, uploads and counts of the whole hold."""

    blobs: int
    """Blobs that this server has stored, or found in a bucket that it took over."""
    size_bytes: int
    uploads: int
    """Uploads in flight."""
    pending_pulls: int
    """Pulls and pushes that are counted, but in no record yet."""
    pending_pushes: int

    def to_json(self) -> dict[str, object]:
        """Return the JSON that `pds hold status` prints."""
        return {
            "blobs": self.blobs,
            "bytes": self.size_bytes,
            "uploads": self.uploads,
            "pending": {"pulls": self.pending_pulls, "pushes": self.pending_pushes},
        }


def read_totals(path: Path) -> HoldTotals:
    """Count what `hold.sqlite` at `path` has. Visits every blob: for a thread."""
    with closing(open_database(path, create=False, read_only=True)) as db, db.snapshot():
        return HoldTotals(*(db.one(_TOTALS) or (0, 0, 0, 0, 0)))
