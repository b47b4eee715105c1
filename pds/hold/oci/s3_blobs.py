"""Blobs of images as objects of an S3 bucket, once they are complete.

::

    <prefix>blobs/sha256/<first 2 hex digits>/<hex>/data

This is the layout of the CNCF distribution registry, so a bucket of one can be taken over.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Final

from cachetools import TTLCache

from actor_store.blob_store.base import InvalidBlobRange
from actor_store.blob_store.s3_bucket import S3Bucket
from pds.hold.oci.digest import Digest, digest_of, hex_of, parse_digest
from pds.hold.oci.errors import BlobNotFound, DigestMismatch
from pds.hold.oci.s3_arriving import ArrivingObject, hashed_batches
from pds.hold.oci.storage import Leftover, StoredBlob

URL_S: Final = 15 * 60
"""How long a presigned URL works."""
_SAME_URL_S: Final = 30.0
"""How long one URL is given to all who ask. Signing takes a quarter of the time of a request, and
many pull one image at the same time."""
_URLS: Final = 10_000
_KEY: Final = re.compile(r"[0-9a-f]{2}/([0-9a-f]{64})/data", re.ASCII)


class S3Blobs:
    """The stored blobs of a bucket; what `OciStorage` says of them."""

    def __init__(self, bucket: S3Bucket, prefix: str) -> None:
        """Use the keys that begin with `prefix`, which is empty or ends with a slash."""
        self._bucket = bucket
        self._arriving: set[str] = set()
        self._urls: TTLCache[tuple[Digest, str], str] = TTLCache(_URLS, _SAME_URL_S)
        self.prefix = f"{prefix}blobs/"
        """That of the keys of all blobs."""

    def key(self, digest: Digest) -> str:
        """Return the key of a blob, existing or not."""
        name = hex_of(digest)
        return f"{self.prefix}sha256/{name[:2]}/{name}/data"

    async def find(self, digest: Digest) -> StoredBlob | None:
        """See `OciStorage.find`."""
        info = await self._bucket.head(self.key(digest))
        return None if info is None else StoredBlob(digest, info.size, info.last_modified_s)

    async def presign(self, digest: Digest, method: str) -> str:
        """See `OciStorage.presign`. A URL for GET is at the CDN, if there is one.

        One for HEAD is not: CDNs ask the bucket with GET instead, for which it is not signed.
        """
        url = self._urls.get((digest, method))
        if url is None:
            sign = self._bucket.presign_download if method == "GET" else self._bucket.presign
            url = await sign(key=self.key(digest), expires_s=URL_S, method=method)
            self._urls[digest, method] = url
        return url

    async def read(self, digest: Digest, start: int, end: int) -> AsyncGenerator[bytes, None]:
        """See `OciStorage.read`."""
        if start >= end:
            return
        try:
            stream = await self._bucket.get(self.key(digest), start=start, end=end)
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
        hashed = hashed_batches(
            chunks, sha256, max_bytes=size_bytes, too_large=lambda _: DigestMismatch(digest)
        )
        arriving = self.arriving(digest, size_bytes)
        async with aclosing(hashed):
            await arriving.take(hashed)
        if digest_of(sha256.digest()) != digest:
            await arriving.drop()
            raise DigestMismatch(digest)
        return arriving

    def arriving(self, digest: Digest, size_bytes: int) -> ArrivingObject:
        """Return what takes the bytes of a blob that have been checked, or will be."""
        return ArrivingObject(self._bucket, self.key(digest), size_bytes, under_way=self._arriving)

    async def list_leftovers(self) -> AsyncIterator[Leftover]:
        """See `OciStorage.list_leftovers`. An interrupted copy leaves a multipart upload."""
        async for upload in self._bucket.uploads.list(self.prefix):
            if upload.upload_id not in self._arriving:
                yield Leftover(None, upload.begun_s, upload.key, upload.upload_id)

    async def delete(self, digests: Sequence[Digest]) -> None:
        """See `OciStorage.delete`."""
        await self._bucket.delete(self.key(digest) for digest in digests)

    async def list(self, after: str = "") -> AsyncGenerator[StoredBlob, None]:
        """See `OciStorage.list`."""
        start = f"{self.prefix}sha256/"
        name = after.removeprefix("sha256:")
        start_after = f"{start}{name[:2]}/{name}/data" if after else None
        async for info in self._bucket.list(start, start_after=start_after):
            match = _KEY.fullmatch(info.key.removeprefix(start))
            if match is not None:
                digest = parse_digest(f"sha256:{match[1]}")
                yield StoredBlob(digest, info.size, info.last_modified_s)
