"""An upload in batches, each large enough to be worth a hop to a thread."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from contextlib import aclosing
from typing import Final, Protocol, TypeAlias

from actor_store.blob_store.base import HEAD_BYTES, BlobTooLarge, TempBlob
from repo.cid import Cid

_BATCH_BYTES: Final = 512 * 1024


class Digest(Protocol):
    """A running hash, such as `hashlib.sha256()`."""

    def update(self, data: bytes | bytearray, /) -> None: ...


StoreBatch: TypeAlias = Callable[[bytearray, Digest], Awaitable[None]]
"""Stores a batch, and adds it to the digest of the upload."""


async def receive(
    chunks: AsyncIterable[bytes],
    *,
    write: StoreBatch,
    finish: StoreBatch,
    key: str,
    max_bytes: int,
) -> TempBlob:
    """Store an upload in batches, of which `finish` takes the last; return what `key` stands for.

    Raises `BlobTooLarge`, and what `chunks`, `write` and `finish` raise.
    """
    digest = hashlib.sha256()
    head, size = b"", 0
    async with aclosing(in_batches(chunks, max_bytes=max_bytes, too_large=BlobTooLarge)) as batches:
        async for batch, is_last in batches:
            head = head or bytes(batch[:HEAD_BYTES])
            size += len(batch)
            await (finish if is_last else write)(batch, digest)
    return TempBlob(key, Cid.of_raw_digest(digest.digest()), size, head)


async def in_batches(
    chunks: AsyncIterable[bytes], *, max_bytes: int, too_large: Callable[[int], Exception]
) -> AsyncGenerator[tuple[bytearray, bool], None]:
    """Join `chunks` into batches; with each, yield whether it is the last, which may be empty.

    Raises `too_large(max_bytes)` as soon as more bytes have arrived, and what `chunks` raises.
    """
    batch, size = bytearray(), 0
    async for chunk in chunks:
        size += len(chunk)
        if size > max_bytes:
            raise too_large(max_bytes)
        batch += chunk
        if len(batch) >= _BATCH_BYTES:
            yield batch, False
            batch = bytearray()
    yield batch, True
