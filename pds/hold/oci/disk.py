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
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from actor_store.blob_store import disk_files
from database.open_files import OpenFiles
from pds.hold.oci.digest import Digest, hex_of, parse_digest
from pds.hold.oci.disk_uploads import DiskUploads
from pds.hold.oci.errors import BlobNotFound, DigestMismatch, UploadNotFound
from pds.hold.oci.storage import Leftover, Part, StoredBlob

_READ_BYTES: Final = 256 * 1024
_HEX: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


class DiskOciStorage:
    """An `OciStorage` on the local disk."""

    def __init__(self, directory: Path, *, full_sync: bool, files: OpenFiles) -> None:
        """With `full_sync`, a power failure loses no blob whose upload was completed."""
        self._blobs = directory / "sha256"
        self._full_sync = full_sync
        self._files = files
        self._uploads = DiskUploads(directory / "uploads", full_sync=full_sync, files=files)

    async def find(self, digest: Digest) -> StoredBlob | None:
        """See `OciStorage.find`."""
        try:
            found = await asyncio.to_thread(self._path(digest).stat)
        except FileNotFoundError:
            return None
        return StoredBlob(digest, found.st_size, found.st_mtime)

    async def presign(self, _digest: Digest, _method: str) -> None:
        """Return None: there are no URLs of files."""
        return

    async def read(self, digest: Digest, start: int, end: int) -> AsyncGenerator[bytes, None]:
        """See `OciStorage.read`."""
        try:
            async with self._files.room(1):
                file = await asyncio.to_thread(_open_at, self._path(digest), start)
        except FileNotFoundError as exc:
            raise BlobNotFound(digest) from exc
        with file:
            left = end - start
            while left > 0 and (
                chunk := await asyncio.to_thread(file.read, min(left, _READ_BYTES))
            ):
                left -= len(chunk)
                yield chunk

    async def begin(self, upload_id: str) -> str:
        """See `OciStorage.begin`."""
        return await self._uploads.begin(upload_id)

    async def owns(self, upload_id: str, storage_id: str) -> bool:
        """See `OciStorage.owns`."""
        return await self._uploads.owns(upload_id, storage_id)

    async def part_url(self, _upload_id: str, _storage_id: str, _number: int) -> None:
        """Return None: parts come through the server."""
        return

    async def write_part(
        self, upload_id: str, _storage_id: str, number: int, chunks: AsyncIterable[bytes]
    ) -> str:
        """See `OciStorage.write_part`."""
        return await self._uploads.write_part(upload_id, number, chunks)

    async def join(self, upload_id: str, _storage_id: str, parts: Sequence[Part]) -> int:
        """See `OciStorage.join`."""
        return await self._uploads.join(upload_id, parts)

    async def measure(self, upload_id: str, _storage_id: str) -> Digest:
        """See `OciStorage.measure`."""
        return await self._uploads.measure(upload_id)

    async def keep(
        self, upload_id: str, _storage_id: str, digest: Digest, _size_bytes: int
    ) -> None:
        """See `OciStorage.keep`."""
        data, final = self._uploads.data_path(upload_id), self._path(digest)
        if not await asyncio.to_thread(disk_files.promote, data, final, full_sync=self._full_sync):
            raise UploadNotFound

    async def receive(
        self, digest: Digest, size_bytes: int, chunks: AsyncIterable[bytes]
    ) -> ArrivedFile:
        """See `OciStorage.receive`."""
        arrived = ArrivedFile(self, self._uploads, digest, size_bytes)
        await arrived.take(chunks)
        return arrived

    async def discard(self, upload_id: str, _storage_id: str) -> None:
        """See `OciStorage.discard`."""
        await self._uploads.discard(upload_id)

    async def delete(self, digests: Sequence[Digest]) -> None:
        """See `OciStorage.delete`."""
        await asyncio.to_thread(disk_files.delete, [self._path(digest) for digest in digests])

    async def list(self, after: str = "") -> AsyncGenerator[StoredBlob, None]:
        """See `OciStorage.list`."""
        first = after.removeprefix("sha256:")[:2]
        for prefix in sorted(await asyncio.to_thread(disk_files.list_names, self._blobs)):
            if prefix < first:
                continue
            for blob in await asyncio.to_thread(_list_blobs, self._blobs / prefix):
                if blob.digest > after:
                    yield blob

    def list_leftovers(self) -> AsyncIterator[Leftover]:
        """See `OciStorage.list_leftovers`."""
        return self._uploads.leftovers()

    async def drop_leftover(self, leftover: Leftover) -> None:
        """See `OciStorage.drop_leftover`."""
        if leftover.upload_id is not None:
            await self._uploads.discard(leftover.upload_id)

    async def close(self) -> None:
        """See `OciStorage.close`."""
        await self._uploads.close()

    def _path(self, digest: Digest) -> Path:
        name = hex_of(digest)
        return self._blobs / name[:2] / name


class ArrivedFile:
    """An `Arrived` on disk: an upload without a row."""

    def __init__(
        self, storage: DiskOciStorage, uploads: DiskUploads, digest: Digest, size_bytes: int
    ) -> None:
        self._storage = storage
        self._uploads = uploads
        self._digest = digest
        self._size_bytes = size_bytes
        self._id = secrets.token_hex(16)

    async def take(self, chunks: AsyncIterable[bytes]) -> None:
        """Write all bytes. Raises `DigestMismatch`."""
        found = await self._uploads.receive(self._id, chunks, max_bytes=self._size_bytes)
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
        await self._uploads.discard(self._id)


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
