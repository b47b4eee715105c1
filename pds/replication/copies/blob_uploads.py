"""Uploading blobs to the replica: some at a time, checked against their names."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from database.errors import DatabaseError
from database.retry import when_free
from pds.replication.copies.at_once import for_each
from pds.replication.copies.blob_directories import BlobDirectory, hash_file
from pds.replication.copies.problems import Problems
from pds.replication.copies.signature import Signature

if TYPE_CHECKING:
    from pds.replication.copies.blob_rows import BlobRows
    from pds.replication.replica.place import ReplicaPlace

_AT_ONCE: Final = 8
_LARGE_AT_ONCE: Final = 2
_LARGE_BYTES: Final = 16 * 1024 * 1024
_ROWS_AT_ONCE: Final = 100
_MAX_DAMAGED: Final = 1_000

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class BlobProgress:
    """Figures of the copying of blobs."""

    waiting: int = 0
    """Blobs that are not in the replica, as of the last sweep."""
    waiting_bytes: int = 0
    copied: int = 0
    """Blobs copied since the start."""
    copied_bytes: int = 0
    removed: int = 0
    """Copies removed since the start, long after their blobs."""


class BlobUploader:
    """Uploads files of a disk blob store."""

    def __init__(self, blobs: Path, rows: BlobRows, place: ReplicaPlace) -> None:
        self._blobs = blobs
        self._rows = rows
        self._place = place
        self._small = asyncio.Semaphore(_AT_ONCE)
        self._large = asyncio.Semaphore(_LARGE_AT_ONCE)
        self._damaged: dict[str, Signature] = {}
        self.busy: set[str] = set()
        """The names of copies that are being written or removed."""
        self.progress = BlobProgress()
        self.problems = Problems()

    async def upload(
        self, directory: BlobDirectory, directory_id: int, digests: Sequence[bytes]
    ) -> bool:
        """Upload files of a directory, and note them in the ledger; return whether all were.

        A file that cannot be read, or whose bytes do not fit its name, is a problem of its own.
        Raises `ReplicationError`s of the place and `DatabaseError`s of the ledger.
        """
        done: list[tuple[bytes, int]] = []
        is_complete = True

        async def work(digest: bytes) -> None:
            nonlocal is_complete
            size = await self._upload_one(directory, digest)
            if size is None:
                is_complete = False
                return
            done.append((digest, size))
            if len(done) >= _ROWS_AT_ONCE:
                rows, done[:] = list(done), []
                await when_free(lambda: self._rows.put(directory_id, rows))

        try:
            await for_each(digests, work, at_once=min(_AT_ONCE, len(digests)))
            await when_free(lambda: self._rows.put(directory_id, done))
            done.clear()
        finally:
            # After a failure; without these rows, the files would only be copied again.
            with suppress(DatabaseError):
                self._rows.put(directory_id, done)
        return is_complete

    async def _upload_one(self, directory: BlobDirectory, digest: bytes) -> int | None:
        """Upload a file and return its length; None if it cannot be copied, or not now."""
        name = directory.copy_of(digest)
        if name in self.busy:
            return None
        self.busy.add(name)
        path = self._blobs / directory.path / directory.name_of(digest)
        try:
            size = await self._upload_checked(path, name, digest)
        except FileNotFoundError:
            size = None  # It was deleted meanwhile, or moved into quarantine.
        except OSError as exc:
            self._note(name, f"{path} cannot be read ({exc.strerror})")
            return None
        finally:
            self.busy.discard(name)
        if size is not None:
            self.problems.clear(name)
            self.progress.copied += 1
            self.progress.copied_bytes += size
            self.progress.waiting = max(0, self.progress.waiting - 1)
            self.progress.waiting_bytes = max(0, self.progress.waiting_bytes - size)
        return size

    async def _upload_checked(self, path: Path, name: str, digest: bytes) -> int | None:
        async with self._small:
            signature = await asyncio.to_thread(_sign, path)
            if signature == self._damaged.get(name):
                return None
            if signature.size <= _LARGE_BYTES:
                return await self._upload_file(path, name, digest, signature)
        async with self._large:
            return await self._upload_file(path, name, digest, signature)

    async def _upload_file(
        self, path: Path, name: str, digest: bytes, signature: Signature
    ) -> int | None:
        if await asyncio.to_thread(hash_file, path) != digest:
            # A good copy of it may be in the replica; a damaged one helps nobody.
            if len(self._damaged) >= _MAX_DAMAGED:
                self._damaged.clear()
            self._damaged[name] = signature
            self._note(name, f"{path} is damaged: its bytes do not fit its name")
            return None
        return await self._place.upload(name, path)

    def _note(self, name: str, text: str) -> None:
        if self.problems.add(name, text):
            _log.warning("a blob cannot be copied to the replica", problem=text)


def _sign(path: Path) -> Signature:
    return Signature.of(os.stat(path))  # noqa: PTH116 - runs for each of millions of files
