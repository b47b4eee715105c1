"""A blob on its way into a bucket through this server: by parts, under its final key.

Its object appears when it is kept; until then there is a multipart upload, or for a small one
nothing. So whoever keeps it must have checked the bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Final

from actor_store.blob_store.base import BlobStoreError
from actor_store.blob_store.batches import in_batches
from actor_store.blob_store.s3_bucket import S3Bucket
from pds.hold.oci.storage import MAX_PARTS

if TYPE_CHECKING:
    from actor_store.blob_store.batches import Digest as RunningHash
    from actor_store.blob_store.s3_objects import S3Part

_PART_BYTES: Final = 8 * 1024 * 1024


class ArrivingObject:
    """An `Arrived` on S3, once it has taken its bytes, of which it holds one part in memory."""

    def __init__(self, bucket: S3Bucket, key: str, size_bytes: int, *, under_way: set[str]) -> None:
        """`under_way` has the ids of multipart uploads that are no leftovers."""
        self._bucket = bucket
        self._key = key
        self._part_bytes = max(_PART_BYTES, -(-size_bytes // MAX_PARTS))
        self._under_way = under_way
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
                await self._bucket.put(self._key, bytes(self._rest))
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
            self._storage_id = await uploads.create(self._key)
            self._under_way.add(self._storage_id)
        data, self._rest = bytes(self._rest), bytearray()
        number = len(self._parts) + 1
        self._parts.append(await uploads.put_part(self._key, self._storage_id, number, data))


async def hashed_batches(
    chunks: AsyncIterable[bytes],
    sha256: RunningHash,
    *,
    max_bytes: int,
    too_large: Callable[[int], Exception],
) -> AsyncGenerator[bytearray, None]:
    """Iterate over `chunks` in batches, which are hashed in a thread."""
    batches = in_batches(chunks, max_bytes=max_bytes, too_large=too_large)
    async with aclosing(batches):
        async for batch, _is_last in batches:
            await asyncio.to_thread(sha256.update, batch)
            yield batch
