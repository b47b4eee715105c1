"""Moving one blob from the old store of a `MovingBlobStore` to the new one.

The steps, of which each leaves the blob readable, and may be repeated after a crash:

1. Copy the bytes to a temporary key of the new store, hashing them on the way.
2. Refuse them if the hash is not the one in the CID.
3. Give the copy its name in the new store, if the blob is still in the old one.
4. Delete the blob from the old store, if the new one has all of it.

Steps 3 and 4 hold the lock of the account, so that a blob that is deleted meanwhile does not come
back. Copying needs no lock. A crash before step 3 leaves temporary bytes to which no row refers:
they are deleted like any upload that was interrupted.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import replace
from enum import Enum
from typing import Final

from actor_store.blob_store.base import (
    BlobFileMissing,
    BlobStoreError,
    InvalidBlobName,
    OpenBlob,
    TempBlob,
)
from actor_store.blob_store.moving import MovingBlobStore
from actor_store.blob_store.places import PlacedBlob
from repo.cid import Cid

PATIENCE_S: Final = 10.0
"""How long a finished move waits for those who still read the old bytes."""


class Outcome(Enum):
    """What became of a blob that was to be moved."""

    MOVED = "moved"
    GONE = "gone"
    """It was deleted, or moved to another place in the old store, meanwhile."""
    IN_USE = "in use"
    """The new store has it, but somebody still reads it in the old one: move it again later."""


class BlobUnmovable(Exception):
    """The blob stays where it is, for its bytes or its name are wrong. The message says what is."""


class OldStoreFailed(BlobUnmovable):
    """The bytes cannot be read."""


async def move_blob(
    store: MovingBlobStore,
    blob: PlacedBlob,
    *,
    cid: Cid | None,
    pace: Callable[[int], Awaitable[None]],
) -> Outcome:
    """Move a blob. Its hash must be that of `cid`; None if nobody knows it.

    `pace` is awaited with the length of every chunk, and may stop the copying by raising. Raises
    `BlobUnmovable`, what `pace` raises, and `BlobStoreError` and `OSError` if the new store fails,
    or the old one does at deleting. It must not be cancelled between the steps.
    """
    try:
        blob.check_name()
    except InvalidBlobName as exc:
        raise BlobUnmovable("it has a name that no blob has") from exc
    if await _is_there(store, blob) and not await _have_readers_left(store, blob):
        return Outcome.IN_USE
    copy = await _copy(store, blob, cid, pace)
    if copy is None:
        return Outcome.GONE
    async with store.locks[blob.did]:
        if await store.old.places.find_size(blob) is None:
            await store.new.discard_temp(blob.did, copy.key)
            return Outcome.GONE
        await store.new.places.put(replace(blob, size=copy.size), key=copy.key)
        if not _is_read(store, blob):
            return await _remove(store, blob, copy.size)
    if not await _have_readers_left(store, blob):
        return Outcome.IN_USE
    async with store.locks[blob.did]:
        return await _remove(store, blob, copy.size)


async def _remove(store: MovingBlobStore, blob: PlacedBlob, size: int) -> Outcome:
    """Delete the old bytes, if the new store has all of them."""
    found = await store.new.places.find_size(blob)
    if found is None:
        return Outcome.GONE
    if found != size:
        raise BlobUnmovable(f"the new store has {found} of its {size} bytes")
    await store.old.places.remove(blob)
    return Outcome.MOVED


def _is_read(store: MovingBlobStore, blob: PlacedBlob) -> bool:
    # Temporary bytes have no readers.
    return blob.cid is not None and store.readers.read((blob.did, blob.cid))


async def _have_readers_left(store: MovingBlobStore, blob: PlacedBlob) -> bool:
    return blob.cid is None or await store.readers.have_left(
        (blob.did, blob.cid), patience_s=PATIENCE_S
    )


async def _is_there(store: MovingBlobStore, blob: PlacedBlob) -> bool:
    """Whether the blob has been copied before, and slow readers have kept it in the old store."""
    return _is_read(store, blob) and await store.new.places.find_size(blob) == blob.size


async def _copy(
    store: MovingBlobStore,
    blob: PlacedBlob,
    cid: Cid | None,
    pace: Callable[[int], Awaitable[None]],
) -> TempBlob | None:
    """Copy and check the bytes; return the copy, or None if they are gone."""
    try:
        source = await store.old.places.open(blob)
    except BlobFileMissing:
        return None
    except (BlobStoreError, OSError) as exc:
        raise OldStoreFailed(f"it cannot be read: {exc}") from exc
    async with source, aclosing(_read(source, pace)) as chunks:
        try:
            copy = await store.new.put_temp(blob.did, chunks, max_bytes=source.size)
        except (BlobUnmovable, BlobStoreError, OSError):
            # Whoever deletes an account deletes its unfinished copies as well.
            if await store.old.places.find_size(blob) is None:
                return None
            raise
    if copy.size == source.size and cid in (None, copy.cid):
        return copy
    with suppress(BlobStoreError, OSError):
        await store.new.discard_temp(blob.did, copy.key)
    if copy.size != source.size:
        raise OldStoreFailed(f"it ends after {copy.size} of {source.size} bytes")
    raise BlobUnmovable(f"it is damaged: its bytes are those of {copy.cid}")


async def _read(
    source: OpenBlob, pace: Callable[[int], Awaitable[None]]
) -> AsyncGenerator[bytes, None]:
    chunks = aiter(source)
    async with aclosing(chunks):
        while True:
            try:
                chunk = await anext(chunks, None)
            except (BlobStoreError, OSError) as exc:
                raise OldStoreFailed(f"it cannot be read: {exc}") from exc
            if chunk is None:
                return
            await pace(len(chunk))
            yield chunk
