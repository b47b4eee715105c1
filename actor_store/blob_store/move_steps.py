"""Moving bytes from an old store to a new one, in steps that all stores share.

Each step leaves the bytes readable, and may be repeated after a crash:

1. Copy the bytes, hashing them on the way. The new store shows nobody what has arrived so far.
2. Refuse them if their hash is not the one in their name.
3. Give the copy its name in the new store, if the bytes are still in the old one.
4. Delete the bytes from the old store, if the new one has all of them.

Steps 3 and 4 hold a lock, so that what is deleted meanwhile does not come back. Copying needs no
lock. A crash before step 3 leaves what any interrupted upload leaves.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from enum import Enum
from typing import Protocol, TypeAlias

from actor_store.blob_store.base import BlobStoreError
from actor_store.blob_store.old_readers import Name, OldReaders

Pace: TypeAlias = Callable[[int], Awaitable[None]]
"""Awaited with the length of every chunk that is copied; it may stop the copying by raising."""


class Outcome(Enum):
    """What became of bytes that were to be moved."""

    MOVED = "moved"
    GONE = "gone"
    """They were deleted, or moved to another place in the old store, meanwhile."""
    IN_USE = "in use"
    """The new store has them, but somebody still reads them in the old one: try again later."""


class BlobUnmovable(Exception):
    """The blob stays where it is, for its bytes or its name are wrong. The message says what is."""


class OldStoreFailed(BlobUnmovable):
    """The bytes cannot be read."""


class Arrived(Protocol):
    """Bytes that a store has received and checked, and shows nobody yet: keep or drop them."""

    async def keep(self) -> None:
        """Make them visible under their name."""
        ...

    async def drop(self) -> None:
        """Delete them. May be repeated, and fails only where the next sweep finds them."""
        ...


class Movable(Protocol[Name]):
    """What is to be moved: bytes of one name in the old store.

    The methods raise `BlobStoreError` and `OSError` if a store fails.
    """

    name: Name
    """By which `readers` knows them."""
    size: int
    """Their length in bytes, as far as it is known."""
    readers: OldReaders[Name]
    lock: asyncio.Lock
    """Holding it keeps them from being moved, deleted or renamed."""

    async def size_in_old(self) -> int | None:
        """Return how many bytes the old store has; None if there are none."""
        ...

    async def size_in_new(self) -> int | None:
        """Return the same of the new store."""
        ...

    async def copy(self, pace: Pace) -> Arrived:
        """Take the first two steps; reads through `read_old`. Raises `BlobUnmovable`."""
        ...

    async def remove(self) -> None:
        """Delete the bytes from the old store."""
        ...


async def move(blob: Movable[Name], pace: Pace) -> Outcome:
    """Move a blob. It must not be cancelled between the steps.

    Raises `BlobUnmovable`, what `pace` raises, and `BlobStoreError` and `OSError` if the new store
    fails, or the old one when it deletes.
    """
    if await _was_copied(blob) and not await blob.readers.have_left(blob.name):
        return Outcome.IN_USE
    arrived = await _copy(blob, pace)
    if arrived is None:
        return Outcome.GONE
    async with blob.lock:
        size = await _keep(blob, arrived)
        if size is None:
            return Outcome.GONE
        if not blob.readers.read(blob.name):
            return await _remove(blob, size)
    if not await blob.readers.have_left(blob.name):
        return Outcome.IN_USE
    async with blob.lock:
        return await _remove(blob, size)


async def read_old(
    chunks: AsyncGenerator[bytes, None], size: int, pace: Pace
) -> AsyncGenerator[bytes, None]:
    """Iterate over all bytes of the old store, and close them. Raises `OldStoreFailed`."""
    left = size
    async with aclosing(chunks):
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
    if left > 0:
        raise OldStoreFailed(f"it ends after {size - left} of {size} bytes")


async def _was_copied(blob: Movable[Name]) -> bool:
    """Whether an earlier move has copied it, and slow readers have kept it in the old store."""
    return blob.readers.read(blob.name) and await blob.size_in_new() == blob.size


async def _copy(blob: Movable[Name], pace: Pace) -> Arrived | None:
    """Copy and check the bytes; return the copy, or None if they are gone."""
    try:
        return await blob.copy(pace)
    except (BlobUnmovable, BlobStoreError, OSError):
        # Deleting them cuts the copying off, and the deletion of an account deletes its unfinished
        # copies as well.
        is_gone = False
        with suppress(BlobStoreError, OSError):
            is_gone = await blob.size_in_old() is None
        if not is_gone:
            raise
    return None


async def _keep(blob: Movable[Name], arrived: Arrived) -> int | None:
    """Make the copy visible; return its size, or None if the blob has been deleted meanwhile."""
    size = None
    try:
        size = await blob.size_in_old()
    finally:
        if size is None:
            await arrived.drop()
    if size is not None:
        await arrived.keep()
    return size


async def _remove(blob: Movable[Name], size: int) -> Outcome:
    """Delete the old bytes, if the new store has all of them."""
    found = await blob.size_in_new()
    if found is None:
        return Outcome.GONE
    if found != size:
        raise BlobUnmovable(f"the new store has {found} of its {size} bytes")
    await blob.remove()
    return Outcome.MOVED
