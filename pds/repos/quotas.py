"""How much room an account has left, and the end of an upload that cannot fit.

`actor_store.quota` has the last word, inside the transaction that adds something. While uploads
come in, each takes as much room as was left when it began.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from actor_store.errors import QuotaExceeded

if TYPE_CHECKING:
    from pds.context import AppContext


async def storage_status(ctx: AppContext, did: str) -> dict[str, Any]:
    """What com.atproto.server.checkAccountStatus tells of an account's room."""
    used = await ctx.actor_store.read(did, lambda actor: actor.usage.used_bytes())
    return {"usedBytes": used, "quotaBytes": ctx.actor_store.find_quota(did)}


class UploadRoom:
    """The room that an account has for an upload."""

    def __init__(self, used_bytes: int, quota_bytes: int | None) -> None:
        """As it was when the upload began; None means that there is no limit."""
        self._used_bytes = used_bytes
        self._quota_bytes = quota_bytes

    @classmethod
    async def find(cls, ctx: AppContext, did: str) -> UploadRoom:
        """The room of an account, as it is now."""
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
        """`chunks`, raising `QuotaExceeded` as soon as more of them have come than can fit."""
        return chunks if self._quota_bytes is None else self._meter(chunks)

    async def _meter(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        received = 0
        async for chunk in chunks:
            received += len(chunk)
            self.check(received)
            yield chunk
