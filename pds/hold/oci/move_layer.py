"""Moving one blob of an image from the old store of a `MovingOciStorage` to the new one.

The steps are those of `actor_store.blob_store.move_blob`, and so are the outcomes:

1. Copy the bytes, hashing them on the way. The new store shows nobody what has arrived so far.
2. Refuse them if the hash is not the digest.
3. Make the copy visible, if the blob is still in the old store.
4. Delete the blob from the old store, if the new one has all of it.

Steps 3 and 4 hold the lock of the digest, so that a blob that is deleted meanwhile does not come
back. A crash before step 3 leaves what any interrupted upload leaves.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from actor_store.blob_store.base import BlobStoreError
from actor_store.blob_store.move_blob import PATIENCE_S, BlobUnmovable, OldStoreFailed, Outcome
from pds.hold.oci.digest import Digest
from pds.hold.oci.errors import BlobNotFound, DigestMismatch
from pds.hold.oci.moving import MovingOciStorage
from pds.hold.oci.storage import Arrived, StoredBlob


async def move_layer(
    store: MovingOciStorage, blob: StoredBlob, *, pace: Callable[[int], Awaitable[None]]
) -> Outcome:
    """Move a blob. `pace` is awaited with the length of every chunk, and may stop it by raising.

    Raises `BlobUnmovable`, what `pace` raises, and `BlobStoreError` and `OSError` if the new store
    fails, or the old one does at deleting. It must not be cancelled between the steps.
    """
    digest = blob.digest
    if await _is_there(store, blob) and not await _have_readers_left(store, digest):
        return Outcome.IN_USE
    arrived = await _copy(store, blob, pace)
    if arrived is None:
        return Outcome.GONE
    async with store.locks[digest]:
        if not await _name(store, digest, arrived):
            return Outcome.GONE
        if not store.readers.read(digest):
            return await _remove(store, blob)
    if not await _have_readers_left(store, digest):
        return Outcome.IN_USE
    async with store.locks[digest]:
        return await _remove(store, blob)


async def _name(store: MovingOciStorage, digest: Digest, arrived: Arrived) -> bool:
    """Make the copy visible; return False if the blob has been deleted meanwhile."""
    is_there = False
    try:
        is_there = await store.old.find(digest) is not None
    finally:
        if not is_there:
            await arrived.drop()
    if is_there:
        await arrived.keep()
    return is_there


async def _remove(store: MovingOciStorage, blob: StoredBlob) -> Outcome:
    """Delete the old bytes, if the new store has all of them."""
    found = await store.new.find(blob.digest)
    if found is None:
        return Outcome.GONE
    if found.size_bytes != blob.size_bytes:
        raise BlobUnmovable(f"the new store has {found.size_bytes} of its {blob.size_bytes} bytes")
    await store.old.delete([blob.digest])
    return Outcome.MOVED


async def _is_there(store: MovingOciStorage, blob: StoredBlob) -> bool:
    """Whether the blob has been copied before, and slow readers have kept it in the old store."""
    if not store.readers.read(blob.digest):
        return False
    found = await store.new.find(blob.digest)
    return found is not None and found.size_bytes == blob.size_bytes


async def _have_readers_left(store: MovingOciStorage, digest: Digest) -> bool:
    return await store.readers.have_left(digest, patience_s=PATIENCE_S)


async def _copy(
    store: MovingOciStorage, blob: StoredBlob, pace: Callable[[int], Awaitable[None]]
) -> Arrived | None:
    """Copy and check the bytes; return the copy, or None if they are gone."""
    try:
        async with aclosing(_read(store, blob, pace)) as chunks:
            return await store.new.receive(blob.digest, blob.size_bytes, chunks)
    except BlobNotFound:
        return None
    except DigestMismatch as exc:
        raise BlobUnmovable("it is damaged: its bytes have another digest") from exc


async def _read(
    store: MovingOciStorage, blob: StoredBlob, pace: Callable[[int], Awaitable[None]]
) -> AsyncGenerator[bytes, None]:
    left = blob.size_bytes
    async with aclosing(store.old.read(blob.digest, 0, blob.size_bytes)) as chunks:
        while True:
            try:
                chunk = await anext(chunks, None)
            except (BlobStoreError, OSError) as exc:
                raise OldStoreFailed(f"it cannot be read: {exc}") from exc
            if chunk is None:
                break
            left -= len(chunk)
            await pace(len(chunk))
            yield chunk
    if left:
        raise OldStoreFailed(f"it ends after {blob.size_bytes - left} of {blob.size_bytes} bytes")
