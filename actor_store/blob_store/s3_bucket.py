"""One S3 bucket: its objects, multipart uploads and presigned URLs.

It knows keys and bytes, and nothing of accounts; `s3.S3BlobStore` does. No exception of aiobotocore
leaves this module and its neighbours `s3_*`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

from actor_store.blob_store.base import (
    BlobObjectMissing,
    BlobStoreMisconfigured,
    BlobStoreUnavailable,
)
from actor_store.blob_store.s3_client import (
    CALL_S,
    JOINING_S,
    LISTED_AT_ONCE,
    MAX_STREAMS,
    S3Client,
)
from actor_store.blob_store.s3_copying import PART_BYTES, copy_by_parts
from actor_store.blob_store.s3_errors import refusal
from actor_store.blob_store.s3_location import S3Location
from actor_store.blob_store.s3_objects import ObjectInfo, S3Stream
from actor_store.blob_store.s3_presign import Presigner
from actor_store.blob_store.s3_uploads import S3Uploads

_SMALL_BYTES: Final = 16 * 1024 * 1024
"""Copying no more than this takes no longer than any call."""
DELETED_AT_ONCE: Final = 1000
"""S3 takes no more keys in one call."""


class S3Bucket:
    """A bucket, used over a bounded pool of connections.

    Each method may raise `BlobStoreUnavailable`, `BlobStoreFull` and `BlobStoreMisconfigured`, the
    last also for an endpoint, region or name that cannot be one. Calls are repeated after failures
    that may pass, and end in bounded time.
    """

    def __init__(
        self, location: S3Location, *, cdn_url: str | None = None, logs_failures: bool = True
    ) -> None:
        """Nothing is sent before the first call, so the server may be down.

        `cdn_url` takes the place of the server's scheme and host in presigned downloads.
        `logs_failures` is False for callers that tell the operator of each failure themselves.
        """
        self.location = location
        self._client = S3Client(location, logs_failures=logs_failures)
        self.uploads = S3Uploads(self._client, self.head)
        """Multipart uploads."""
        self._presigner = Presigner(self._client, cdn_url=cdn_url)
        self._streams = asyncio.Semaphore(MAX_STREAMS)

    async def close(self) -> None:
        """Close all connections. May be repeated."""
        await self._client.close()

    async def head(self, key: str) -> ObjectInfo | None:
        """Return what S3 knows of an object; None if there is none.

        A bucket that does not exist has no objects either: S3 gives HEAD no reason.
        """
        try:
            async with self._client.calling() as calls:
                answer = await calls.head_object(**self._named(key))
        except BlobObjectMissing:
            return None
        return ObjectInfo.of(key, answer)

    async def get(self, key: str, *, start: int = 0, end: int | None = None) -> S3Stream | None:
        """Open an object, or its bytes from `start` to before `end`, for reading.

        Returns None if there is none. Raises `InvalidBlobRange` if it ends before `start`.
        """
        named = self._named(key)
        if start or end is not None:
            named["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
        # The place is free again when the stream is closed.
        await self._wait_for_place()
        try:
            async with self._client.calling() as calls:
                answer = await calls.get_object(**named)
        except BaseException as exc:
            self._streams.release()
            if isinstance(exc, BlobObjectMissing):
                return None
            raise
        return S3Stream(
            self.location,
            ObjectInfo.of(key, answer),
            answer["Body"],
            on_close=self._streams.release,
        )

    async def put(self, key: str, data: bytes, *, more: Mapping[str, Any] | None = None) -> None:
        """Store an object whole, in place of any that has this key.

        `more` has parameters of PutObject, such as `Metadata`. Raises `BlobObjectChanged` if it has
        a condition, `IfMatch` or `IfNoneMatch`, that does not hold.
        """
        async with self._client.calling(timeout_s=self.location.upload_s) as calls:
            await calls.put_object(**self._named(key), **(more or {}), Body=data)

    async def copy(self, source: str, target: str, *, size: int | None = None) -> bool:
        """Copy an object to another key. Returns False if there is no such object.

        `size` in bytes saves a call where it is known.
        """
        if size is None:
            info = await self.head(source)
            if info is None:
                return False
            size = info.size
        try:
            if size > PART_BYTES:
                await copy_by_parts(self.uploads, source, target, size=size)
                return True
            async with self._client.calling(
                timeout_s=CALL_S if size <= _SMALL_BYTES else JOINING_S
            ) as calls:
                await calls.copy_object(
                    **self._named(target),
                    CopySource={"Bucket": self.location.bucket, "Key": source},
                )
        except BlobObjectMissing:
            return False
        return True

    async def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; missing ones are ignored."""
        doomed = list(keys)
        for first in range(0, len(doomed), DELETED_AT_ONCE):
            objects = [{"Key": key} for key in doomed[first : first + DELETED_AT_ONCE]]
            async with self._client.calling() as calls:
                answer = await calls.delete_objects(
                    Bucket=self.location.bucket, Delete={"Objects": objects, "Quiet": True}
                )
            for error in answer.get("Errors", ()):
                if error.get("Code") != "NoSuchKey":
                    said = f"{error.get('Message', '')} for {error.get('Key')}"
                    raise refusal(error.get("Code", ""), said, self.location)

    async def delete_one(self, key: str) -> None:
        """Delete an object, or nothing, where a server does not know the deletion of several."""
        with suppress(BlobObjectMissing):
            async with self._client.calling() as calls:
                await calls.delete_object(**self._named(key))

    async def list(
        self, prefix: str, *, start_after: str | None = None
    ) -> AsyncGenerator[ObjectInfo, None]:
        """Iterate over the objects of keys with a prefix, in order, after `start_after`."""
        async for page in self._pages(prefix, start_after=start_after):
            for found in page.get("Contents", ()):
                yield ObjectInfo.of(found["Key"], found)

    async def list_prefixes(self, prefix: str) -> AsyncIterator[str]:
        """Iterate over what follows `prefix` up to the next slash, with both, in order."""
        async for page in self._pages(prefix, delimiter="/"):
            for found in page.get("CommonPrefixes", ()):
                yield found["Prefix"]

    async def presign(
        self, method: str, key: str, *, expires_s: int, query: Mapping[str, str] | None = None
    ) -> str:
        """Return a URL with which its holder may `GET`, `HEAD` or `PUT` one key, for a while.

        `query` has parameters of S3: `response-content-type` and its like for a download, or
        `partNumber` and `uploadId` for a part. The URL works for this method only.
        """
        async with self._client.calling():
            return await self._presigner.presign(method, key, expires_s=expires_s, query=query)

    async def presign_download(
        self,
        key: str,
        *,
        expires_s: int,
        query: Mapping[str, str] | None = None,
        method: str = "GET",
    ) -> str:
        """Return a URL for `GET`, at the CDN if there is one, or for `HEAD`.

        One for `HEAD` is not at the CDN: CDNs ask the bucket with `GET` instead, for which it is
        not signed.
        """
        url = await self.presign(method, key, expires_s=expires_s, query=query)
        return self._presigner.through_cdn(url) if method == "GET" else url

    async def check(self, *, timeout_s: float = CALL_S) -> None:
        """Ask for the bucket. Raises what keeps this server from using it."""
        try:
            async with self._client.calling(timeout_s=timeout_s) as calls:
                # A listing says why it is refused; HEAD would not.
                await calls.list_objects_v2(Bucket=self.location.bucket, MaxKeys=1)
        except BlobObjectMissing as exc:
            # A listing asks for no object: the URL is not that of a bucket.
            raise BlobStoreMisconfigured(str(exc), self.location.wording.endpoint) from exc

    async def _pages(
        self, prefix: str, *, start_after: str | None = None, delimiter: str | None = None
    ) -> AsyncIterator[Any]:
        more = {} if start_after is None else {"StartAfter": start_after}
        if delimiter is not None:
            more["Delimiter"] = delimiter
        while True:
            async with self._client.calling() as calls:
                page = await calls.list_objects_v2(
                    Bucket=self.location.bucket, Prefix=prefix, MaxKeys=LISTED_AT_ONCE, **more
                )
            yield page
            if not page.get("IsTruncated"):
                return
            more["ContinuationToken"] = page["NextContinuationToken"]

    async def _wait_for_place(self) -> None:
        try:
            async with asyncio.timeout(CALL_S):
                await self._streams.acquire()
        except TimeoutError as exc:
            raise BlobStoreUnavailable(f"{MAX_STREAMS} objects are being read already") from exc

    def _named(self, key: str) -> dict[str, str]:
        return {"Bucket": self.location.bucket, "Key": key}
