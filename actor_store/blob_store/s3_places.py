"""The objects of an S3 blob store, listed and moved as `BlobPlaces`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing

from actor_store.blob_store.base import BlobFileMissing
from actor_store.blob_store.places import Place, PlacedBlob
from actor_store.blob_store.s3_bucket import S3Bucket
from actor_store.blob_store.s3_objects import S3Stream


class S3Places:
    """The keys of an `S3BlobStore`. All methods may raise what `S3Bucket` raises."""

    def __init__(self, bucket: S3Bucket, prefixes: Mapping[Place, str]) -> None:
        """`prefixes` are the first parts of keys; a DID and a name follow."""
        self._bucket = bucket
        self._prefixes = prefixes

    async def list_blobs(self, place: Place, *, after: str = "", limit: int) -> list[PlacedBlob]:
        """See `BlobPlaces.list_blobs`."""
        prefix = self._prefixes[place]
        start_after = f"{prefix}{after}" if after else None
        found: list[PlacedBlob] = []
        async with aclosing(self._bucket.list(prefix, start_after=start_after)) as objects:
            async for info in objects:
                did, _, name = info.key.removeprefix(prefix).partition("/")
                # Consoles make empty objects for what they show as directories.
                if name:
                    found.append(PlacedBlob(place, did, name, info.size))
                if len(found) == limit:
                    break
        return found

    async def find_size(self, blob: PlacedBlob) -> int | None:
        """See `BlobPlaces.find_size`."""
        info = await self._bucket.head(self._key(blob))
        return None if info is None else info.size

    async def open(self, blob: PlacedBlob) -> S3Stream:
        """See `BlobPlaces.open`."""
        stream = await self._bucket.get(self._key(blob))
        if stream is None:
            raise BlobFileMissing(blob.did, blob.name)
        return stream

    async def put(self, blob: PlacedBlob, *, key: str) -> None:
        """See `BlobPlaces.put`."""
        temp = self._key(PlacedBlob(Place.TEMPORARY, blob.did, key, blob.size))
        if not await self._bucket.copy(temp, self._key(blob), size=blob.size):
            raise BlobFileMissing(blob.did, key)
        await self._bucket.delete([temp])

    async def remove(self, blob: PlacedBlob) -> None:
        """See `BlobPlaces.remove`."""
        await self._bucket.delete([self._key(blob)])

    def _key(self, blob: PlacedBlob) -> str:
        blob.check_name()
        return f"{self._prefixes[blob.place]}{blob.did}/{blob.name}"
