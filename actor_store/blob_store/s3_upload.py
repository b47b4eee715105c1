"""One upload on its way into a bucket: hashed as it arrives, in parts that are sent meanwhile."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from actor_store.blob_store.base import BlobStoreError
from actor_store.blob_store.batches import Digest
from actor_store.blob_store.memory_room import MemoryRoom
from actor_store.blob_store.s3_bucket import S3Bucket
from actor_store.blob_store.s3_objects import S3Part
from actor_store.blob_store.s3_uploads import MAX_PARTS, MIN_PART_BYTES

_SENT_AT_ONCE: Final = 3
"""Parts of one upload on their way, while the next one gathers."""


class ObjectUpload:
    """An object that is stored from bytes as they come: by one call if they make one part."""

    def __init__(self, bucket: S3Bucket, key: str, room: MemoryRoom, *, max_bytes: int) -> None:
        """Take memory from `room`. `max_bytes` is the size that the upload never exceeds."""
        self._bucket = bucket
        self._key = key
        self._room = room
        # Some servers want parts of equal size, so it is chosen before the first is sent.
        self._part_bytes = max(MIN_PART_BYTES, -(-max_bytes // MAX_PARTS))
        self._gathered = bytearray()
        self._held = 0
        """The bytes taken from the room: those gathered and those on their way."""
        self._upload_id: str | None = None
        self._is_in_parts = False
        self._began = False
        """Whether the object may have appeared."""
        self._parts: list[asyncio.Task[S3Part]] = []

    async def write(self, data: bytearray, digest: Digest) -> None:
        """Take the next bytes, and send a part if there are enough for one and more to come."""
        digest.update(data)
        await self._room.take(len(data))
        self._held += len(data)
        self._gathered += data
        while len(self._gathered) > self._part_bytes:
            part = bytes(self._gathered[: self._part_bytes])
            del self._gathered[: self._part_bytes]
            await self._send(part)

    async def finish(self, data: bytearray, digest: Digest) -> None:
        """Take the last bytes, and store what is left; then the object is there."""
        await self.write(data, digest)
        rest = bytes(self._gathered)
        self._began = True
        if self._upload_id is None:
            await self._bucket.put(self._key, rest)
            self._give_back(len(rest))
        else:
            await self._send(rest)
            parts = await asyncio.gather(*self._parts)
            await self._bucket.uploads.complete(self._key, self._upload_id, parts)

    async def drop(self) -> None:
        """Stop, and remove what has been stored, as far as the server can be asked to."""
        for part in self._parts:
            part.cancel()
        await asyncio.gather(*self._parts, return_exceptions=True)
        self._give_back(self._held)
        if self._is_in_parts:
            with suppress(BlobStoreError):
                await self._abort()
        if self._began:
            with suppress(BlobStoreError):
                await self._bucket.delete([self._key])

    async def _abort(self) -> None:
        if self._upload_id is not None:
            await self._bucket.uploads.abort(self._key, self._upload_id)
            return
        # Its beginning was cancelled, or the answer was lost.
        begun = [upload async for upload in self._bucket.uploads.list(self._key)]
        for upload in begun:
            await self._bucket.uploads.abort(upload.key, upload.upload_id)

    async def _send(self, data: bytes) -> None:
        if self._upload_id is None:
            self._is_in_parts = True
            self._upload_id = await self._bucket.uploads.create(self._key)
        under_way = [part for part in self._parts if not part.done()]
        if len(under_way) >= _SENT_AT_ONCE:
            await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
        for part in self._parts:
            if part.done():
                part.result()
        number = len(self._parts) + 1
        self._parts.append(asyncio.create_task(self._put(self._upload_id, number, data)))

    async def _put(self, upload_id: str, number: int, data: bytes) -> S3Part:
        part = await self._bucket.uploads.put_part(self._key, upload_id, number, data)
        self._give_back(len(data))
        return part

    def _give_back(self, size: int) -> None:
        self._held -= size
        self._room.give(size)
