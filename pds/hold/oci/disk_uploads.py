"""Uploads whose parts come through this server, kept on its disk until they are complete."""

from __future__ import annotations

import asyncio
import hashlib
import re
import threading
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from contextlib import aclosing, suppress
from functools import partial
from pathlib import Path
from typing import Final

from actor_store.blob_store.batches import in_batches
from actor_store.blob_store.disk_upload import UploadFile
from actor_store.keyed_locks import KeyedLocks
from database.open_files import OpenFiles
from pds.hold.oci import part_files
from pds.hold.oci.digest import Digest, digest_of, hex_of
from pds.hold.oci.errors import PartTooLarge, UploadNotFound
from pds.hold.oci.storage import MAX_PART_BYTES, Leftover, Part

_UPLOAD_ID: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_JOINING_AT_ONCE: Final = 2
"""Threads that read whole blobs, which may take minutes each."""


class DiskUploads:
    """What an `OciStorage` does with uploads that pass through this server: a directory each."""

    def __init__(self, directory: Path, *, full_sync: bool, files: OpenFiles) -> None:
        """With `full_sync`, parts and joined uploads are synced before they count as stored."""
        self._directory = directory
        self._full_sync = full_sync
        self._files = files
        self._locks = KeyedLocks()
        self._stopped = threading.Event()
        self._joining = asyncio.Semaphore(_JOINING_AT_ONCE)
        self._receiving: set[str] = set()

    def data_path(self, upload_id: str) -> Path:
        """Return the path of a joined upload, existing or not."""
        return self._path(upload_id) / part_files.DATA

    async def begin(self, upload_id: str) -> str:
        """See `OciStorage.begin`."""
        await asyncio.to_thread(self._path(upload_id).mkdir, parents=True, exist_ok=True)
        return ""

    async def owns(self, upload_id: str, storage_id: str) -> bool:
        """See `OciStorage.owns`: other stores give uploads a `storage_id`."""
        return not storage_id and await asyncio.to_thread(self._path(upload_id).is_dir)

    async def fill(self, upload_id: str, chunks: AsyncIterable[bytes], *, max_bytes: int) -> Digest:
        """Make a joined upload of `chunks`, and return the digest of its bytes.

        Until it is discarded it is no leftover, however long that takes.
        """
        await self._files.until_room(1)
        self._receiving.add(upload_id)
        file = UploadFile(self.data_path(upload_id), full_sync=self._full_sync)
        try:
            return await _receive(file, chunks, max_bytes=max_bytes)
        except BaseException:
            await asyncio.shield(asyncio.to_thread(file.abandon))
            await asyncio.shield(self.discard(upload_id, ""))
            raise

    async def presign(self, _digest: Digest, _method: str) -> None:
        """Return None: this server sends the bytes."""
        return

    async def part_url(self, _upload_id: str, _storage_id: str, _number: int) -> None:
        """Return None: parts come through this server."""
        return

    async def write_part(
        self, upload_id: str, _storage_id: str, number: int, chunks: AsyncIterable[bytes]
    ) -> str:
        """See `OciStorage.write_part`. The ETag is the SHA-256 in hex. Raises `UploadNotFound`."""
        await self._files.until_room(1)
        upload = self._path(upload_id)
        incoming = part_files.incoming_path(upload)
        file = UploadFile(incoming, full_sync=self._full_sync)
        try:
            etag = hex_of(await _receive(file, chunks, max_bytes=MAX_PART_BYTES))
            async with self._locks[upload_id]:
                await asyncio.to_thread(part_files.add_part, upload, number, incoming, etag)
        except FileNotFoundError as exc:
            # The upload ended while this part was arriving.
            raise UploadNotFound from exc
        except BaseException:
            # As in `DiskBlobStore.put_temp`: a thread may still be writing.
            await asyncio.shield(asyncio.to_thread(file.abandon))
            raise
        return etag

    async def join(self, upload_id: str, _storage_id: str, parts: Sequence[Part]) -> int:
        """See `OciStorage.join`."""
        async with self._locks[upload_id]:
            return await asyncio.to_thread(part_files.choose, self._path(upload_id), parts)

    async def measure(self, upload_id: str, _storage_id: str) -> Digest:
        """See `OciStorage.measure`. Makes one file of the parts on the way."""
        async with self._locks[upload_id], self._joining:
            return await asyncio.to_thread(
                partial(
                    part_files.join,
                    self._path(upload_id),
                    stopped=self._stopped,
                    full_sync=self._full_sync,
                )
            )

    async def discard(self, upload_id: str, _storage_id: str) -> None:
        """See `OciStorage.discard`."""
        async with self._locks[upload_id]:
            await asyncio.to_thread(part_files.remove_upload, self._path(upload_id))
        self._receiving.discard(upload_id)

    async def list_leftovers(self) -> AsyncIterator[Leftover]:
        """See `OciStorage.list_leftovers`."""
        for name, begun_s in await asyncio.to_thread(self._list):
            if name not in self._receiving:
                yield Leftover(name, begun_s)

    async def drop_leftover(self, leftover: Leftover) -> None:
        """See `OciStorage.drop_leftover`."""
        if leftover.upload_id is not None:
            await self.discard(leftover.upload_id, leftover.storage_id)

    async def close(self) -> None:
        """Let threads that read blobs end soon."""
        self._stopped.set()

    def _list(self) -> list[tuple[str, float]]:
        """The names of uploads, and when their directories were last changed."""
        found = []
        for path in self._directory.glob("*"):
            # One that ends in the meantime is gone.
            with suppress(FileNotFoundError):
                if _UPLOAD_ID.fullmatch(path.name):
                    found.append((path.name, path.stat().st_mtime))
        return found

    def _path(self, upload_id: str) -> Path:
        if not _UPLOAD_ID.fullmatch(upload_id):
            raise ValueError(f"not an id of an upload: {upload_id[:80]!r}")
        return self._directory / upload_id


async def _receive(file: UploadFile, chunks: AsyncIterable[bytes], *, max_bytes: int) -> Digest:
    """Write and hash bytes in batches; return their digest."""
    sha256 = hashlib.sha256()
    batches = in_batches(chunks, max_bytes=max_bytes, too_large=PartTooLarge)
    async with aclosing(batches):
        async for batch, is_last in batches:
            await asyncio.to_thread(file.finish if is_last else file.write, batch, sha256)
    return digest_of(sha256.digest())
