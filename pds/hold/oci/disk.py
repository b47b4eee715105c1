"""Blobs of images as files on the local disk.

::

    <directory>/sha256/<first 2 hex digits>/<hex>    a blob
    <directory>/uploads/<id>/                        an upload: see `part_files`

A file appears under its final name complete or not at all.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from actor_store.blob_store import disk_files
from database.open_files import OpenFiles
from pds.hold.oci.digest import Digest, hex_of, parse_digest
from pds.hold.oci.disk_uploads import DiskUploads
from pds.hold.oci.errors import BlobNotFound, DigestMismatch, UploadNotFound
from pds.hold.oci.storage import StoredBlob

_READ_BYTES: Final = 256 * 1024
_HEX: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


class DiskOciStorage(DiskUploads):
    """An `OciStorage` on the local disk."""

    def __init__(self, directory: Path, *, full_sync: bool, files: OpenFiles) -> None:
        """With `full_sync`, a power failure loses no blob whose upload was completed."""
        super().__init__(directory / "uploads", full_sync=full_sync, files=files)
        self._blobs = directory / "sha256"

    async def find(self, digest: Digest) -> StoredBlob | None:
        """See `OciStorage.find`."""
        try:
            found = await asyncio.to_thread(self._blob_path(digest).stat)
        except FileNotFoundError:
            return None
        return StoredBlob(digest, found.st_size, found.st_mtime)

    async def read(self, digest: Digest, start: int, end: int) -> AsyncGenerator[bytes, None]:
        """See `OciStorage.read`."""
        try:
            async with self._files.room(1):
                file = await asyncio.to_thread(_open_at, self._blob_path(digest), start)
        except FileNotFoundError as exc:
            raise BlobNotFound(digest) from exc
        with file:
            left = end - start
            while left > 0 and (
                chunk := await asyncio.to_thread(file.read, min(left, _READ_BYTES))
            ):
                left -= len(chunk)
                yield chunk

    async def keep(
        self, upload_id: str, _storage_id: str, digest: Digest, _size_bytes: int
    ) -> None:
        """See `OciStorage.keep`."""
        data, final = self.data_path(upload_id), self._blob_path(digest)
        if not await asyncio.to_thread(disk_files.promote, data, final, full_sync=self._full_sync):
            raise UploadNotFound

    async def receive(
        self, digest: Digest, size_bytes: int, chunks: AsyncIterable[bytes]
    ) -> ArrivedFile:
        """See `OciStorage.receive`."""
        arrived = ArrivedFile(self, digest, size_bytes)
        await arrived.take(chunks)
        return arrived

    async def delete(self, digests: Sequence[Digest]) -> None:
        """See `OciStorage.delete`."""
        await asyncio.to_thread(disk_files.delete, [self._blob_path(digest) for digest in digests])

    async def list(self, after: str = "") -> AsyncGenerator[StoredBlob, None]:
        """See `OciStorage.list`."""
        first = after.removeprefix("sha256:")[:2]
        for prefix in sorted(await asyncio.to_thread(disk_files.list_names, self._blobs)):
            if prefix < first:
                continue
            for blob in await asyncio.to_thread(_list_blobs, self._blobs / prefix):
                if blob.digest > after:
                    yield blob

    def _blob_path(self, digest: Digest) -> Path:
        name = hex_of(digest)
        return self._blobs / name[:2] / name


class ArrivedFile:
    """An `Arrived` on disk: an upload without a row."""

    def __init__(self, storage: DiskOciStorage, digest: Digest, size_bytes: int) -> None:
        self._storage = storage
        self._digest = digest
        self._size_bytes = size_bytes
        self._id = secrets.token_hex(16)

    async def take(self, chunks: AsyncIterable[bytes]) -> None:
        """Write all bytes. Raises `DigestMismatch`."""
        found = await self._storage.fill(self._id, chunks, max_bytes=self._size_bytes)
        if found != self._digest:
            await self.drop()
            raise DigestMismatch(self._digest)

    async def keep(self) -> None:
        """See `Arrived.keep`. An error leaves nothing."""
        try:
            await self._storage.keep(self._id, "", self._digest, self._size_bytes)
        finally:
            await asyncio.shield(self.drop())

    async def drop(self) -> None:
        """See `Arrived.drop`."""
        await self._storage.discard(self._id, "")


def _open_at(path: Path, start: int) -> BinaryIO:
    file = path.open("rb", buffering=0)
    try:
        file.seek(start)
    except BaseException:
        file.close()
        raise
    return file


def _list_blobs(directory: Path) -> list[StoredBlob]:
    """The blobs of one directory, in order of their digests."""
    found = []
    with os.scandir(directory) as entries:
        for entry in entries:
            if _HEX.fullmatch(entry.name):
                stat = entry.stat(follow_symlinks=False)
                digest = parse_digest(f"sha256:{entry.name}")
                found.append(StoredBlob(digest, stat.st_size, stat.st_mtime))
    return sorted(found, key=lambda blob: blob.digest)
