"""Copying inside a bucket what is too large for one CopyObject."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from actor_store.blob_store.base import BlobStoreError
from actor_store.blob_store.s3_objects import S3Part
from actor_store.blob_store.s3_uploads import MAX_PARTS, S3Uploads

PART_BYTES: Final = 256 * 1024 * 1024
"""S3 would copy 5 GiB at once, but some servers are silent meanwhile, for longer than we wait."""
_AT_ONCE: Final = 8


async def copy_by_parts(
    uploads: S3Uploads, source: str, target: str, *, size: int, part_bytes: int = PART_BYTES
) -> None:
    """Copy an object of `size` bytes, several parts at once. A failure leaves nothing behind."""
    part_bytes = max(part_bytes, -(-size // MAX_PARTS))
    upload_id = await uploads.create(target)
    room = asyncio.Semaphore(_AT_ONCE)

    async def copy(number: int, start: int) -> S3Part:
        async with room:
            end = min(start + part_bytes, size)
            return await uploads.copy_part(
                target, upload_id, number, source=source, start=start, end=end
            )

    try:
        async with asyncio.TaskGroup() as group:
            parts = [
                group.create_task(copy(number, start))
                for number, start in enumerate(range(0, size, part_bytes), 1)
            ]
        await uploads.complete(target, upload_id, [part.result() for part in parts])
    except BaseExceptionGroup as exc:
        await _give_up(uploads, target, upload_id)
        raise exc.exceptions[0] from exc
    except BaseException:
        await _give_up(uploads, target, upload_id)
        raise


async def _give_up(uploads: S3Uploads, target: str, upload_id: str) -> None:
    # What cannot be dropped now is an old upload, which the sweep drops.
    with suppress(BlobStoreError):
        await asyncio.shield(uploads.abort(target, upload_id))
