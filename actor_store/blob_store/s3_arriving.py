"""An object on its way into a bucket: by parts, under its final key.

It appears when it is kept; until then there is a multipart upload, or for a small one nothing. So
the bytes must be checked before it is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from actor_store.blob_store.base import BlobStoreError
from actor_store.blob_store.s3_uploads import MAX_PARTS

if TYPE_CHECKING:
    from actor_store.blob_store.s3_bucket import S3Bucket
    from actor_store.blob_store.s3_objects import S3Part

_PART_BYTES: Final = 8 * 1024 * 1024


class ArrivingObject:
    """An `Arrived` on S3, once it has taken its bytes, of which it holds one part in memory."""

    def __init__(
        self,
        bucket: S3Bucket,
        key: str,
        size_bytes: int,
        *,
        under_way: set[str] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        """`under_way` has the ids of multipart uploads that are no leftovers.

        `more` has parameters of PutObject and CreateMultipartUpload, such as `Metadata`.
        """
        self._bucket = bucket
        self._key = key
        self._more = more
        self._part_bytes = max(_PART_BYTES, -(-size_bytes // MAX_PARTS))
        self._under_way = set() if under_way is None else under_way
        self._rest = bytearray()
        self._storage_id = ""
        self._parts: list[S3Part] = []

    async def take(self, chunks: AsyncIterable[bytes | bytearray]) -> None:
        """Send all bytes but the last part. An error leaves nothing of them."""
        try:
            async for chunk in chunks:
                # A part is sent only when more bytes follow, since a single one needs no parts.
                if len(self._rest) >= self._part_bytes:
                    await self._send_part()
                self._rest += chunk
        except BaseException:
            await asyncio.shield(self.drop())
            raise

    async def keep(self) -> None:
        """See `Arrived.keep`. An error leaves nothing."""
        try:
            if not self._storage_id:
                await self._bucket.put(self._key, bytes(self._rest), more=self._more)
                return
            if self._rest:
                await self._send_part()
            await self._bucket.uploads.complete(self._key, self._storage_id, self._parts)
        except BaseException:
            await asyncio.shield(self.drop())
            raise
        self._under_way.discard(self._storage_id)

    async def drop(self) -> None:
        """See `Arrived.drop`."""
        self._rest = bytearray()
        storage_id, self._storage_id = self._storage_id, ""
        if storage_id:
            self._under_way.discard(storage_id)
            with suppress(BlobStoreError):
                await self._bucket.uploads.abort(self._key, storage_id)

    async def _send_part(self) -> None:
        uploads = self._bucket.uploads
        if not self._storage_id:
            self._storage_id = await uploads.create(self._key, more=self._more)
            self._under_way.add(self._storage_id)
        data, self._rest = bytes(self._rest), bytearray()
        number = len(self._parts) + 1
        self._parts.append(await uploads.put_part(self._key, self._storage_id, number, data))
