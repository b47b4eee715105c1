"""Blobs of images as objects of an S3 bucket, once they are complete.

::

    <prefix>blobs/sha256/<first 2 hex digits>/<hex>/data

This is the layout of the CNCF distribution registry, so a bucket of one can be taken over.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Sequence
from contextlib import aclosing, suppress
from typing import Final

from actor_store.blob_store.base import BlobUploadMissing, InvalidBlobRange
from actor_store.blob_store.batches import in_batches
from actor_store.blob_store.s3_arriving import ArrivingObject
from actor_store.blob_store.s3_bucket import S3Bucket
from pds.hold.oci.digest import Digest, digest_of, hex_of, parse_digest
from pds.hold.oci.errors import BlobNotFound, DigestMismatch
from pds.hold.oci.storage import Leftover, StoredBlob

_KEY: Final = re.compile(r"[0-9a-f]{2}/([0-9a-f]{64})/data", re.ASCII)


class S3Blobs:
    """What an `OciStorage` in a bucket does with stored blobs."""

    def __init__(self, bucket: S3Bucket, prefix: str) -> None:
        """Use the keys that begin with `prefix`, which is empty or ends with a slash."""
        self._bucket = bucket
        self._arriving: set[str] = set()
        self._blobs = f"{prefix}blobs/"

    def blob_key(self, digest: Digest) -> str:
        """Return the key of a blob, existing or not."""
        name = hex_of(digest)
        return f"{self._blobs}sha256/{name[:2]}/{name}/data"

    async def find(self, digest: Digest) -> StoredBlob | None:
        """See `OciStorage.find`."""
        info = await self._bucket.head(self.blob_key(digest))
        return None if info is None else StoredBlob(digest, info.size, info.last_modified_s)

    async def read(self, digest: Digest, start: int, end: int) -> AsyncGenerator[bytes, None]:
        """See `OciStorage.read`."""
        if start >= end:
            return
        try:
            stream = await self._bucket.get(self.blob_key(digest), start=start, end=end)
        except InvalidBlobRange:
            stream = None  # An object that has become shorter is no longer this blob.
        if stream is None:
            raise BlobNotFound(digest)
        async with stream:
            async for chunk in stream:
                yield chunk

    async def receive(
        self, digest: Digest, size_bytes: int, chunks: AsyncIterable[bytes]
    ) -> ArrivingObject:
        """See `OciStorage.receive`."""
        sha256 = hashlib.sha256()

        async def hashed() -> AsyncGenerator[bytearray, None]:
            async with aclosing(
                in_batches(chunks, max_bytes=size_bytes, too_large=lambda _: DigestMismatch(digest))
            ) as batches:
                async for batch, _is_last in batches:
                    await asyncio.to_thread(sha256.update, batch)
                    yield batch

        arriving = self.arriving(digest, size_bytes)
        async with aclosing(hashed()) as batches:
            await arriving.take(batches)
        if digest_of(sha256.digest()) != digest:
            await arriving.drop()
            raise DigestMismatch(digest)
        return arriving

    def arriving(self, digest: Digest, size_bytes: int) -> ArrivingObject:
        """Return what takes the bytes of a blob that have been checked, or will be."""
        return ArrivingObject(
            self._bucket, self.blob_key(digest), size_bytes, under_way=self._arriving
        )

    async def list_interrupted(self) -> AsyncIterator[Leftover]:
        """Iterate over the multipart uploads that interrupted copies have left."""
        async for upload in self._bucket.uploads.list(self._blobs):
            if upload.upload_id not in self._arriving:
                yield Leftover(None, upload.begun_s, upload.key, upload.upload_id)

    async def drop_interrupted(self, leftover: Leftover) -> None:
        """Abort a multipart upload; a missing one is ignored."""
        with suppress(BlobUploadMissing):
            await self._bucket.uploads.abort(leftover.key, leftover.storage_id)

    async def delete(self, digests: Sequence[Digest]) -> None:
        """See `OciStorage.delete`."""
        await self._bucket.delete(self.blob_key(digest) for digest in digests)

    async def list(self, after: str = "") -> AsyncGenerator[StoredBlob, None]:
        """See `OciStorage.list`."""
        start = f"{self._blobs}sha256/"
        name = after.removeprefix("sha256:")
        start_after = f"{start}{name[:2]}/{name}/data" if after else None
        async for info in self._bucket.list(start, start_after=start_after):
            match = _KEY.fullmatch(info.key.removeprefix(start))
            if match is not None:
                digest = parse_digest(f"sha256:{match[1]}")
                yield StoredBlob(digest, info.size, info.last_modified_s)
