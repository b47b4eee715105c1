"""Moving one blob of an account from the old store of a `MovingBlobStore` to the new one."""

from __future__ import annotations

from contextlib import aclosing, suppress
from dataclasses import replace

from actor_store.blob_store.base import BlobStoreError, InvalidBlobName, TempBlob
from actor_store.blob_store.move_steps import (
    BlobUnmovable,
    OldStoreFailed,
    Outcome,
    Pace,
    move,
    read_old,
)
from actor_store.blob_store.moving import MovingBlobStore
from actor_store.blob_store.places import MovableStore, PlacedBlob
from repo.cid import Cid


async def move_blob(
    store: MovingBlobStore, blob: PlacedBlob, *, cid: Cid | None, pace: Pace
) -> Outcome:
    """Move a blob, as `move_steps.move` says. Its hash must be that of `cid`; None if unknown."""
    try:
        blob.check_name()
    except InvalidBlobName as exc:
        raise BlobUnmovable("it has a name that no blob has") from exc
    return await move(_Placed(store, blob, cid), pace)


class _Placed:
    """A blob of an account; a `Movable`, whose copy is an upload until it has its name."""

    def __init__(self, store: MovingBlobStore, blob: PlacedBlob, cid: Cid | None) -> None:
        self.name = blob.did, blob.cid
        self.size = blob.size
        self.readers = store.readers
        self.lock = store.locks[blob.did]
        self._old, self._new = store.old, store.new
        self._blob = blob
        self._cid = cid

    async def size_in_old(self) -> int | None:
        """See `Movable.size_in_old`."""
        return await self._old.places.find_size(self._blob)

    async def size_in_new(self) -> int | None:
        """See `Movable.size_in_new`."""
        return await self._new.places.find_size(self._blob)

    async def copy(self, pace: Pace) -> _Copy:
        """See `Movable.copy`."""
        try:
            source = await self._old.places.open(self._blob)
        except (BlobStoreError, OSError) as exc:
            raise OldStoreFailed(f"it cannot be read: {exc}") from exc
        async with source, aclosing(read_old(aiter(source), source.size, pace)) as chunks:
            temp = await self._new.put_temp(self._blob.did, chunks, max_bytes=source.size)
        copy = _Copy(self._new, self._blob, temp)
        if self._cid not in (None, temp.cid):
            await copy.drop()
            raise BlobUnmovable(f"it is damaged: its bytes are those of {temp.cid}")
        return copy

    async def remove(self) -> None:
        """See `Movable.remove`."""
        await self._old.places.remove(self._blob)


class _Copy:
    """An `Arrived` among the uploads of the new store."""

    def __init__(self, store: MovableStore, blob: PlacedBlob, temp: TempBlob) -> None:
        self._store = store
        self._blob = blob
        self._temp = temp

    async def keep(self) -> None:
        """See `Arrived.keep`."""
        blob = replace(self._blob, size=self._temp.size)
        await self._store.places.put(blob, key=self._temp.key)

    async def drop(self) -> None:
        """See `Arrived.drop`."""
        with suppress(BlobStoreError, OSError):
            await self._store.discard_temp(self._blob.did, self._temp.key)
