"""Removing the copies of blobs that are long gone, after the retention.

Until then, a restore to an earlier time finds them.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Final

from database.retry import when_free
from pds.replication.copies.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pds.replication.copies.blob_rows import BlobRow, BlobRows
    from pds.replication.replica.place import ReplicaPlace

_AT_ONCE: Final = 500


class BlobRetention:
    """Removes copies. Shares `busy` with what writes them."""

    def __init__(self, blobs: Path, rows: BlobRows, place: ReplicaPlace, busy: set[str]) -> None:
        self._blobs = blobs
        self._rows = rows
        self._place = place
        self._busy = busy

    async def remove_expired(self, *, before_s: int, now_s: int) -> int:
        """Remove the copies of blobs that have been gone since before a time; return how many.

        Raises `ReplicationError`s and `DatabaseError`s.
        """
        removed = 0
        while expired := self._rows.expired(before_s=before_s, limit=_AT_ONCE):
            free = [row for row in expired if row.copy_name not in self._busy]
            if not free:
                break
            async with Pace():
                removed += await self._remove(free, now_s)
        return removed

    async def _remove(self, rows: Sequence[BlobRow], now_s: int) -> int:
        # Busy first: one that comes back from now on is copied anew when this has ended.
        names = {row.copy_name for row in rows}
        self._busy |= names
        try:
            back = await asyncio.to_thread(self._find_back, rows)
            for row in back:
                self._rows.mark(row.directory_id, gone=(), back=(row.digest,), now_s=now_s)
            doomed = [row for row in rows if row not in back]
            await self._place.delete([row.copy_name for row in doomed])
            await when_free(lambda: self._rows.delete(doomed))
        finally:
            self._busy -= names
        return len(doomed)

    def _find_back(self, rows: Sequence[BlobRow]) -> set[BlobRow]:
        paths = (
            (row, self._blobs / row.directory.path / row.directory.name_of(row.digest))
            for row in rows
        )
        return {row for row, path in paths if path.exists()}
