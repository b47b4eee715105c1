"""Moving one blob of an image from the old store of a `MovingOciStorage` to the new one."""

from __future__ import annotations

from contextlib import aclosing

from actor_store.blob_store.move_steps import (
    Arrived,
    BlobUnmovable,
    OldStoreFailed,
    Outcome,
    Pace,
    move,
    read_old,
)
from pds.hold.oci.errors import BlobNotFound, DigestMismatch
from pds.hold.oci.moving import MovingOciStorage
from pds.hold.oci.storage import OciStorage, StoredBlob


async def move_layer(store: MovingOciStorage, blob: StoredBlob, *, pace: Pace) -> Outcome:
    """Move a blob, as `move_steps.move` says."""
    return await move(_Layer(store, blob), pace)


class _Layer:
    """A blob of an image; a `Movable`."""

    def __init__(self, store: MovingOciStorage, blob: StoredBlob) -> None:
        self.name = blob.digest
        self.size = blob.size_bytes
        self.readers = store.readers
        self.lock = store.locks[blob.digest]
        self._old, self._new = store.old, store.new

    async def size_in_old(self) -> int | None:
        """See `Movable.size_in_old`."""
        return await self._size_in(self._old)

    async def size_in_new(self) -> int | None:
        """See `Movable.size_in_new`."""
        return await self._size_in(self._new)

    async def copy(self, pace: Pace) -> Arrived:
        """See `Movable.copy`."""
        chunks = read_old(self._old.read(self.name, 0, self.size), self.size, pace)
        try:
            async with aclosing(chunks):
                return await self._new.receive(self.name, self.size, chunks)
        except BlobNotFound as exc:
            raise OldStoreFailed(str(exc)) from exc
        except DigestMismatch as exc:
            raise BlobUnmovable("it is damaged: its bytes have another digest") from exc

    async def remove(self) -> None:
        """See `Movable.remove`."""
        await self._old.delete([self.name])

    async def _size_in(self, store: OciStorage) -> int | None:
        found = await store.find(self.name)
        return None if found is None else found.size_bytes
