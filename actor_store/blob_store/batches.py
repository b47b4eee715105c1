"""An upload in batches, each large enough to be worth a hop to a thread."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Callable
from typing import Final

_BATCH_BYTES: Final = 512 * 1024


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
