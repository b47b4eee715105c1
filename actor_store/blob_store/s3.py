"""Blobs as objects in an S3 bucket, under the reference PDS's keys.

::

    blocks/<did>/<cid>         permanent
    tmp/<did>/<key>            temporary
    quarantine/<did>/<cid>     taken down

An object appears whole or not at all. S3 cannot rename: what moves is copied, and its old key is
deleted afterwards. So a crash leaves the bytes under both keys and never under none, and moving
them again completes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Iterable
from contextlib import suppress
from typing import Final

from actor_store.blob_store.base import (
    BlobFileMissing,
    BlobStoreError,
    BlobStoreUnavailable,
    BlobUploadMissing,
    TempBlob,
    new_temp_key,
)
from actor_store.blob_store.batches import receive
from actor_store.blob_store.memory_room import MemoryRoom
from actor_store.blob_store.names import checked_did, checked_temp_key, is_did_name, is_temp_key
from actor_store.blob_store.places import Place
from actor_store.blob_store.s3_bucket import DELETED_AT_ONCE, S3Bucket
from actor_store.blob_store.s3_objects import S3Stream
from actor_store.blob_store.s3_places import S3Places
from actor_store.blob_store.s3_upload import ObjectUpload
from repo.cid import Cid

PERMANENT: Final = "blocks/"
_TEMPORARY: Final = "tmp/"
QUARANTINE: Final = "quarantine/"
_CLEANING_S: Final = 5.0
"""What is not removed by then when the server stops, the sweep removes."""


class S3BlobStore:
    """A `BlobStore` in a bucket. All methods may raise what `S3Bucket` raises."""

    def __init__(self, bucket: S3Bucket, *, room: MemoryRoom | None = None) -> None:
        """Close `bucket` with the store. `room` is the memory that uploads share."""
        self.bucket = bucket
        self._room = MemoryRoom() if room is None else room
        self._cleaning: set[asyncio.Task[None]] = set()
        self.places = S3Places(
            bucket,
            {
                Place.PERMANENT: PERMANENT,
                Place.QUARANTINED: QUARANTINE,
                Place.TEMPORARY: _TEMPORARY,
            },
        )
        """The objects by where they lie."""

    async def put_temp(self, did: str, chunks: AsyncIterable[bytes], *, max_bytes: int) -> TempBlob:
        """See `BlobStore.put_temp`. Takes the memory of a few parts at most."""
        key = new_temp_key()
        upload = ObjectUpload(self.bucket, _temp_key(did, key), self._room, max_bytes=max_bytes)
        try:
            return await receive(
                chunks, write=upload.write, finish=upload.finish, key=key, max_bytes=max_bytes
            )
        except BaseException as exc:
            dropping = asyncio.create_task(upload.drop())
            self._cleaning.add(dropping)
            dropping.add_done_callback(self._cleaning.discard)
            # A server that does not answer would keep the client waiting for nothing.
            if not isinstance(exc, BlobStoreUnavailable):
                await asyncio.shield(dropping)
            raise

    async def make_permanent(self, did: str, key: str, cid: Cid) -> None:
        """See `BlobStore.make_permanent`."""
        temp, final = _temp_key(did, key), self.key(did, cid)
        if await self.bucket.copy(temp, final):
            # The bytes are permanent. A caller that took this for a failure would copy them back,
            # and the deletion might be carried out after that. What stays is swept like any upload.
            with suppress(BlobStoreError):
                await self.bucket.delete([temp])
        elif await self.bucket.head(final) is None:
            # HEAD gives the same answer where the whole bucket is gone, which this tells.
            await self.bucket.check()
            raise BlobFileMissing(did, str(cid))

    async def discard_temp(self, did: str, key: str) -> None:
        """See `BlobStore.discard_temp`. Ends an unfinished upload of that key, too."""
        temp = _temp_key(did, key)
        await self.bucket.delete([temp])
        await self._abort_uploads(temp)

    async def make_temporary(self, did: str, key: str, cid: Cid) -> None:
        """See `BlobStore.make_temporary`."""
        await self._move(self.key(did, cid), _temp_key(did, key))

    async def list_temp(self, did: str, *, before_s: float) -> list[str]:
        """See `BlobStore.list_temp`. Lists the keys of unfinished uploads, too."""
        prefix = f"{_TEMPORARY}{checked_did(did)}/"
        found = {
            info.key async for info in self.bucket.list(prefix) if info.last_modified_s < before_s
        }
        async for upload in self.bucket.uploads.list(prefix):
            if upload.begun_s < before_s:
                found.add(upload.key)
        names = (key.removeprefix(prefix) for key in found)
        return [name for name in names if is_temp_key(name)]

    async def list_temp_dids(self) -> list[str]:
        """See `BlobStore.list_temp_dids`."""
        prefixes = {prefix async for prefix in self.bucket.list_prefixes(_TEMPORARY)}
        prefixes |= {upload.key async for upload in self.bucket.uploads.list(_TEMPORARY)}
        names = {prefix.split("/")[1] for prefix in prefixes}
        return [name for name in names if is_did_name(name)]

    async def open(self, did: str, cid: Cid) -> S3Stream:
        """See `BlobStore.open`."""
        stream = await self.bucket.get(self.key(did, cid))
        if stream is None:
            raise BlobFileMissing(did, str(cid))
        return stream

    async def delete(self, did: str, cids: Iterable[Cid]) -> None:
        """See `BlobStore.delete`."""
        await self.bucket.delete([self.key(did, cid) for cid in cids])

    async def delete_all(self, did: str) -> None:
        """See `BlobStore.delete_all`."""
        name = checked_did(did)
        for place in (PERMANENT, _TEMPORARY, QUARANTINE):
            prefix = f"{place}{name}/"
            await self._abort_uploads(prefix)
            doomed: list[str] = []
            async for info in self.bucket.list(prefix):
                doomed.append(info.key)
                if len(doomed) == DELETED_AT_ONCE:
                    await self.bucket.delete(doomed)
                    doomed.clear()
            await self.bucket.delete(doomed)

    async def quarantine(self, did: str, cid: Cid) -> None:
        """See `BlobStore.quarantine`."""
        await self._move(self.key(did, cid), _quarantine_key(did, cid))

    async def unquarantine(self, did: str, cid: Cid) -> None:
        """See `BlobStore.unquarantine`."""
        await self._move(_quarantine_key(did, cid), self.key(did, cid))

    async def close(self) -> None:
        """Finish removing what failed uploads left, and close all connections."""
        if self._cleaning:
            _, late = await asyncio.wait(self._cleaning, timeout=_CLEANING_S)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
        await self.bucket.close()

    @staticmethod
    def key(did: str, cid: Cid) -> str:
        """Return the key of permanent bytes, existing or not. Raises `InvalidBlobName`."""
        return f"{PERMANENT}{checked_did(did)}/{cid}"

    async def _move(self, source: str, target: str) -> None:
        """Copy, then delete; a missing source is ignored. May be repeated."""
        if await self.bucket.copy(source, target):
            await self.bucket.delete([source])

    async def _abort_uploads(self, prefix: str) -> None:
        unfinished = [upload async for upload in self.bucket.uploads.list(prefix)]
        for upload in unfinished:
            try:
                await self.bucket.uploads.abort(upload.key, upload.upload_id)
            except BlobUploadMissing:
                continue


def _temp_key(did: str, key: str) -> str:
    return f"{_TEMPORARY}{checked_did(did)}/{checked_temp_key(key)}"


def _quarantine_key(did: str, cid: Cid) -> str:
    return f"{QUARANTINE}{checked_did(did)}/{cid}"
