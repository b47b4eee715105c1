"""Comparing the files of a blob directory with the ledger: what is new, gone, or back.

A directory whose time is the same as when all its files had rows is not listed again, so that a
sweep over millions of blobs costs a look at each directory.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from database.retry import when_free
from pds.replication.copies import blob_directories

if TYPE_CHECKING:
    from pds.replication.copies.blob_directories import BlobDirectory
    from pds.replication.copies.blob_rows import BlobRows
    from pds.replication.copies.blob_uploads import BlobUploader

_PAGE: Final = 10_000
"""Files of one directory that are compared at a time."""
_SETTLED_NS: Final = 2_000_000_000
"""A directory that changed more recently may change again without a change of its time."""
_RELIST_S: Final = 24 * 60 * 60
"""How long the time of a directory is believed."""
_LAST: Final = b"\xff" * 33
"""Follows every digest."""

_log = structlog.get_logger(__name__)


class BlobComparison:
    """Compares directories with the ledger, and has `uploader` upload what the ledger lacks."""

    def __init__(
        self, blobs: Path, rows: BlobRows, uploader: BlobUploader, clock: Callable[[], float]
    ) -> None:
        self._blobs = blobs
        self._rows = rows
        self._uploader = uploader
        self._problems = uploader.problems
        self._clock = clock

    def is_same(self, directory: BlobDirectory, mtime_ns: int) -> bool:
        """Whether all files of a directory have rows, as its time tells."""
        row = self._rows.find_directory(directory)
        if row is None or row.mtime_ns != mtime_ns:
            return False
        return 0 <= self._clock() - row.compared_s < _RELIST_S

    async def compare(
        self, directory: BlobDirectory, mtime_ns: int | None, *, copy: bool
    ) -> tuple[int, int]:
        """Compare a directory, as of its time, with the ledger; None if the directory is missing.

        Returns how many files the ledger lacked, and their length in bytes, known unless `copy`.
        """
        if mtime_ns is not None and self.is_same(directory, mtime_ns):
            return 0, 0
        row = self._rows.add_directory(directory)
        is_complete, lacking, size, after = True, 0, 0, b""
        while after != _LAST:
            # The ledger first: a file that is copied in between counts as new, never as gone.
            known = self._rows.page(row.id, after=after, limit=_PAGE)
            local = await self._list(directory, after)
            if local is None:
                return lacking, size
            after = min(_end_of(list(known)), _end_of(local))
            new = [digest for digest in local if digest <= after and digest not in known]
            is_complete &= await self._mark(directory, row.id, known, set(local), until=after)
            lacking += len(new)
            if new and copy:
                is_complete &= await self._uploader.upload(directory, row.id, new)
            elif new:
                is_complete = False
                size += await asyncio.to_thread(self._measure, directory, new)
        if is_complete and mtime_ns is not None and mtime_ns < time.time_ns() - _SETTLED_NS:
            self._rows.set_compared(row.id, mtime_ns=mtime_ns, now_s=int(self._clock()))
        return lacking, size

    async def _list(self, directory: BlobDirectory, after: bytes) -> list[bytes] | None:
        """List files; None, which is a problem of its own, if the directory cannot be read."""
        name = directory.replica_prefix
        try:
            found = await asyncio.to_thread(
                blob_directories.list_digests, self._blobs, directory, after=after, limit=_PAGE
            )
        except OSError as exc:
            path = self._blobs / directory.path
            if self._problems.add(name, text := f"{path} cannot be read ({exc.strerror})"):
                _log.warning("blobs cannot be copied to the replica", problem=text)
            return None
        self._problems.clear(name)
        return found

    async def _mark(
        self,
        directory: BlobDirectory,
        directory_id: int,
        known: dict[bytes, bool],
        local: set[bytes],
        *,
        until: bytes,
    ) -> bool:
        """Mark what is gone and what is back; return whether all that is back could be."""
        gone = [d for d, is_gone in known.items() if d <= until and not is_gone and d not in local]
        back = [d for d, is_gone in known.items() if d <= until and is_gone and d in local]
        # What is being removed cannot come back; when it is removed, its file counts as new.
        free = [d for d in back if directory.copy_of(d) not in self._uploader.busy]
        if gone or free:
            now_s = int(self._clock())
            await when_free(
                lambda: self._rows.mark(directory_id, gone=gone, back=free, now_s=now_s)
            )
        for digest in gone:
            self._problems.clear(directory.copy_of(digest))
        return len(free) == len(back)

    def _measure(self, directory: BlobDirectory, digests: Sequence[bytes]) -> int:
        return sum(_sizes(self._blobs / directory.path, map(directory.name_of, digests)))


def _end_of(page: Sequence[bytes]) -> bytes:
    """The last digest that a page says something about."""
    return page[-1] if len(page) == _PAGE else _LAST


def _sizes(directory: Path, names: Iterator[str]) -> Iterator[int]:
    for name in names:
        with suppress(OSError):
            yield (directory / name).stat().st_size
