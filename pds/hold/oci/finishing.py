"""The last steps of an upload: its digest is checked, and it is moved under that digest.

The bytes of an upload to S3 did not pass through this server. Blobs are shared by all who name
their digest, so a wrong one would harm others: unless `PDS_HOLD_VERIFY_UPLOADS` is off, the bytes
are read once before anybody can see them. S3's own checksums do not help. Of a multipart upload it
computes a SHA-256 of the parts' checksums, not of the bytes, and only if the client sent one with
each part; servers other than AWS's compute none when they copy. What came through this server lies
on its disk in parts, and is always read, to make one file of them.

This may take minutes. A client waits for it for a while (`Uploads.complete`), and is told then that
the upload is completed, although it is not yet visible: the row says `checking`, and the work is
taken up again after a crash or while S3 is down. If the digest turns out to be wrong, nothing
appears, and the row says `refused`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog

from actor_store.blob_store.base import BlobStoreError
from database.errors import DatabaseError
from pds.hold.oci.blobs import Blobs
from pds.hold.oci.digest import Digest
from pds.hold.oci.errors import DigestMismatch, OciError, UploadNotFound
from pds.hold.oci.storage import OciStorage, StoredBlob
from pds.hold.oci.upload_rows import Upload, UploadRows

_LARGE_BYTES: Final = 256 * 1024 * 1024
_SMALL_AT_ONCE: Final = 4
_LARGE_AT_ONCE: Final = 2
"""Blobs read at a time; large ones do not keep small ones waiting."""

_log = structlog.get_logger(__name__)


class Finisher:
    """Finishes uploads whose parts have been put together, in tasks of its own."""

    def __init__(
        self,
        storage: OciStorage,
        blobs: Blobs,
        rows: UploadRows,
        *,
        verify: bool,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`verify` tells to read what clients have sent to the store; `clock` is in seconds."""
        self._storage = storage
        self._blobs = blobs
        self._rows = rows
        self._verify = verify
        self._clock = clock
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._by_digest: dict[Digest, set[asyncio.Task[None]]] = {}
        self._small = asyncio.Semaphore(_SMALL_AT_ONCE)
        self._large = asyncio.Semaphore(_LARGE_AT_ONCE)

    def start(self, upload: Upload, digest: Digest) -> asyncio.Task[None]:
        """Finish a joined upload; return the task, which raises `DigestMismatch` and others."""
        task = self._tasks.get(upload.id)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._finish(upload, digest))
            self._tasks[upload.id] = task
            self._by_digest.setdefault(digest, set()).add(task)
            task.add_done_callback(lambda done: self._ended(upload, digest, done))
        return task

    def resume(self) -> None:
        """Take up what a crash or failure has interrupted."""
        for upload in self._rows.list_checking():
            if upload.digest is not None:
                self.start(upload, upload.digest)

    def is_finishing(self, digest: Digest) -> bool:
        """Whether an upload of a digest is being finished."""
        return digest in self._by_digest

    async def wait(self, digest: Digest, *, seconds: float) -> None:
        """Wait until no upload of a digest is being finished, but not for longer."""
        tasks = self._by_digest.get(digest)
        if tasks:
            await asyncio.wait(tuple(tasks), timeout=seconds)

    async def refuse(self, upload: Upload, digest: Digest) -> None:
        """End an upload whose bytes have another digest, and discard them."""
        _log.warning("uploaded bytes have another digest", did=upload.did, digest=digest)
        await self._rows.set_refused(upload.id, digest, now_ms=self._now_ms())
        await self._discard(upload)

    async def settle(self, upload: Upload, blob: StoredBlob) -> None:
        """End an upload whose blob is stored, and discard what it leaves."""
        await self._rows.set_completed(
            upload.id, blob.digest, blob.size_bytes, now_ms=self._now_ms()
        )
        await self._discard(upload)

    async def close(self) -> None:
        """Stop; the next start goes on."""
        tasks = tuple(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _finish(self, upload: Upload, digest: Digest) -> None:
        room = self._large if upload.size_bytes > _LARGE_BYTES else self._small
        try:
            async with room, self._blobs.wanted(digest):
                blob = await self._blobs.look(digest)
                if blob is None:
                    # What came through this server is measured anyway, which makes one file of it.
                    if self._verify or upload.came_here:
                        found = await self._storage.measure(upload.id, upload.storage_id)
                        if found != digest:
                            await self.refuse(upload, digest)
                            raise DigestMismatch(digest)
                    await self._storage.keep(
                        upload.id, upload.storage_id, digest, upload.size_bytes
                    )
                    blob = StoredBlob(digest, upload.size_bytes, self._clock())
                    self._blobs.note(blob)
                await self.settle(upload, blob)
        except UploadNotFound:
            # Somebody has deleted its bytes. Its client has to begin again.
            await self._rows.remove(upload.id)
            raise

    async def _discard(self, upload: Upload) -> None:
        # Whatever stays is discarded with the row.
        with suppress(BlobStoreError, OSError):
            await self._storage.discard(upload.id, upload.storage_id)

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)

    def _ended(self, upload: Upload, digest: Digest, task: asyncio.Task[None]) -> None:
        del self._tasks[upload.id]
        tasks = self._by_digest[digest]
        tasks.discard(task)
        if not tasks:
            del self._by_digest[digest]
        if task.cancelled():
            return
        match task.exception():
            case None | DigestMismatch():
                pass
            case OciError() | BlobStoreError() | DatabaseError() | OSError() as exc:
                # The client that waits is told, or the next `resume` tries again.
                _log.warning("upload was not finished", did=upload.did, reason=str(exc))
            case exc:
                _log.error("upload was not finished", did=upload.did, exc_info=exc)
