"""Blobs of images on S3 that clients do not reach: all bytes pass through this server.

Uploads are kept on its disk until they are complete. So the bytes are hashed here, and nothing
is in the bucket that has not been checked.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import BinaryIO, Final

from actor_store.blob_store.s3_bucket import S3Bucket
from database.open_files import OpenFiles
from pds.hold.oci.digest import Digest
from pds.hold.oci.disk_uploads import DiskUploads
from pds.hold.oci.errors import UploadNotFound
from pds.hold.oci.s3_blobs import S3Blobs
from pds.hold.oci.storage import Leftover

_READ_BYTES: Final = 1024 * 1024


class BufferedS3OciStorage(DiskUploads, S3Blobs):
    """An `OciStorage` in a bucket that only this server reaches."""

    def __init__(
        self, bucket: S3Bucket, prefix: str, directory: Path, *, full_sync: bool, files: OpenFiles
    ) -> None:
        """Keep uploads in `directory`. Closes the bucket at the end."""
        DiskUploads.__init__(self, directory, full_sync=full_sync, files=files)
        S3Blobs.__init__(self, bucket, prefix)

    async def keep(self, upload_id: str, _storage_id: str, digest: Digest, size_bytes: int) -> None:
        """See `OciStorage.keep`."""
        try:
            file = await asyncio.to_thread(self.data_path(upload_id).open, "rb")
        except FileNotFoundError as exc:
            raise UploadNotFound from exc
        with file:
            arriving = self.arriving(digest, size_bytes)
            await arriving.take(_read(file))
            await arriving.keep()

    async def list_leftovers(self) -> AsyncIterator[Leftover]:
        """See `OciStorage.list_leftovers`. An interrupted `keep` leaves a multipart upload."""
        async for leftover in super().list_leftovers():
            yield leftover
        async for leftover in self.list_interrupted():
            yield leftover

    async def drop_leftover(self, leftover: Leftover) -> None:
        """See `OciStorage.drop_leftover`."""
        if leftover.storage_id:
            await self.drop_interrupted(leftover)
        else:
            await super().drop_leftover(leftover)

    async def close(self) -> None:
        """See `OciStorage.close`."""
        await super().close()
        await self._bucket.close()


async def _read(file: BinaryIO) -> AsyncGenerator[bytes, None]:
    while data := await asyncio.to_thread(file.read, _READ_BYTES):
        yield data
