"""Remaining storage quota of an account, and early rejection of uploads that exceed it.

`actor_store.quota` makes the final check, inside the transaction that adds data. Concurrent uploads
are each checked against the space that was left when they began.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from actor_store.errors import QuotaExceeded

if TYPE_CHECKING:
    from pds.context import AppContext


async def storage_status(ctx: AppContext, did: str) -> dict[str, Any]:
    """Return the storage part of a com.atproto.server.checkAccountStatus response."""
    used = await ctx.actor_store.read(did, lambda actor: actor.usage.used_bytes())
    return {"usedBytes": used, "quotaBytes": ctx.actor_store.find_quota(did)}


class UploadRoom:
    """The storage space that an account has left for an upload."""

    def __init__(self, used_bytes: int, quota_bytes: int | None) -> None:
        """Take the usage at the start of the upload; a `quota_bytes` of None means no limit."""
        self._used_bytes = used_bytes
        self._quota_bytes = quota_bytes

    @classmethod
    async def find(cls, ctx: AppContext, did: str) -> UploadRoom:
        """Return the current space of an account."""
        quota = ctx.actor_store.find_quota(did)
        if quota is None:
            return cls(0, None)
        used = await ctx.actor_store.read(did, lambda actor: actor.usage.used_bytes())
        return cls(used, quota)

    def check(self, size_bytes: int) -> None:
        """Raise `QuotaExceeded` if an upload of this size cannot fit."""
        quota = self._quota_bytes
        if quota is not None and self._used_bytes + size_bytes > quota:
            raise QuotaExceeded(
                used_bytes=self._used_bytes, quota_bytes=quota, adding_bytes=size_bytes
            )

    def metered(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield `chunks`, raising `QuotaExceeded` as soon as they exceed the quota."""
        return chunks if self._quota_bytes is None else self._meter(chunks)

    async def _meter(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        received = 0
        async for chunk in chunks:
            received += len(chunk)
            self.check(received)
            yield chunk
