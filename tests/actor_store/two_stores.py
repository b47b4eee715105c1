"""Two blob stores with an account's bytes, for tests of moving from one to the other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from actor_store.blob_store.disk import DiskBlobStore
from actor_store.blob_store.moving import MovingBlobStore
from actor_store.blob_store.places import MovableStore, Place, PlacedBlob
from actor_store.blob_store.s3 import S3BlobStore
from actor_store.blob_store.s3_bucket import S3Bucket
from repo.cid import Cid
from tests.actor_store.stored_blobs import chunked
from tests.actor_store.support import DID, collect
from tests.seaweedfs import SeaweedFs


@dataclass(slots=True, frozen=True)
class TwoStores:
    """An old and a new store, and both as one."""

    new: MovableStore
    old: MovableStore
    both: MovingBlobStore

    @classmethod
    def on_disk(cls, directory: Path) -> TwoStores:
        """Make two on disk, `new` and `old` in `directory`."""
        return cls.of(DiskBlobStore(directory / "new"), DiskBlobStore(directory / "old"))

    @classmethod
    async def between(cls, way: str, directory: Path, seaweedfs: SeaweedFs) -> TwoStores:
        """Make two stores for a way such as "disk to s3"."""
        old, _, new = way.partition(" to ")
        made: dict[str, MovableStore] = {}
        for role, kind in (("old", old), ("new", new)):
            if kind == "disk":
                made[role] = DiskBlobStore(directory / role)
            else:
                made[role] = S3BlobStore(S3Bucket(await seaweedfs.create_bucket()))
        return cls.of(**made)

    @classmethod
    def of(cls, new: MovableStore, old: MovableStore) -> TwoStores:
        """Put two stores together."""
        return cls(new, old, MovingBlobStore(new, old))

    def put_in(self, where: str) -> list[MovableStore]:
        """The stores that "old", "new", "both" or "none" names."""
        return [
            store
            for name, store in (("old", self.old), ("new", self.new))
            if where in (name, "both")
        ]


async def placed(
    store: MovableStore,
    data: bytes,
    place: Place = Place.PERMANENT,
    *,
    did: str = DID,
    name: str | None = None,
) -> PlacedBlob:
    """Put bytes into a place of a store, under their CID, or their key, or another name."""
    temp = await store.put_temp(did, chunked(data), max_bytes=len(data))
    own = temp.key if place is Place.TEMPORARY else str(temp.cid)
    blob = PlacedBlob(place, did, name or own, temp.size)
    if blob.name != temp.key:
        await store.places.put(blob, key=temp.key)
    return blob


async def contents(store: MovableStore) -> dict[tuple[Place, str, str], bytes]:
    """All bytes of a store, by place, DID and name."""
    found = {}
    for place in Place:
        cursor = ""
        while page := await store.places.list_blobs(place, after=cursor, limit=3):
            for blob in page:
                found[place, blob.did, blob.name] = await collect(
                    aiter(await store.places.open(blob))
                )
            cursor = page[-1].cursor
    return found


async def places_of(store: MovableStore) -> dict[Place, list[str]]:
    """The names in each place that is not empty."""
    names: dict[Place, list[str]] = {}
    for place, _did, name in await contents(store):
        names.setdefault(place, []).append(name)
    return names


def cid_of(blob: PlacedBlob) -> Cid:
    """The CID of a blob that has one."""
    return Cid.parse(blob.name)


async def no_pace(_size: int) -> None:
    """Copy as fast as possible."""
