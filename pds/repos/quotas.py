"""Quotas: how much room an account may take, and the refusal to let it take more.

What counts is the database and all uploads of an account together. Whether there is room is found
out inside the transaction that adds something, so writers that come at once cannot pass the quota
together. A commit may pass it by what the tree and the indexes grow beside its records, some
kilobytes as a rule and two megabytes at the most; an upload by nothing once it is complete. While
uploads come in, each takes as much room as was left when it began.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from actor_store.blob_store.base import TempBlob
from actor_store.reader import ActorStoreReader
from actor_store.writes import PreparedWrite

if TYPE_CHECKING:
    from pds.context import AppContext

Plan: TypeAlias = Callable[[ActorStoreReader], Sequence[PreparedWrite] | None]


class QuotaExceeded(Exception):
    """There is no room for what is to be added; nothing of it was kept."""

    def __init__(self, *, used_bytes: int, quota_bytes: int, adding_bytes: int) -> None:
        self.used_bytes = used_bytes
        self.quota_bytes = quota_bytes
        self.adding_bytes = adding_bytes
        super().__init__(
            f"The account uses {used_bytes:,} of the {quota_bytes:,} bytes it may use; "
            f"there is no room for {adding_bytes:,} more"
        )


def find_quota(ctx: AppContext, did: str) -> int | None:
    """How many bytes an account may use; None if there is no limit."""
    own = ctx.accounts.quotas.find(did)
    return ctx.settings.service.account_quota_bytes if own is None else own.limit_bytes


async def check_quota(ctx: AppContext, did: str, adding_bytes: int) -> None:
    """Raise `QuotaExceeded` if an account has no room for so many bytes more, as it is now."""
    quota = find_quota(ctx, did)
    if quota is not None:
        await ctx.actor_store.read(did, lambda actor: _check(actor, quota, adding_bytes))


async def storage_status(ctx: AppContext, did: str) -> dict[str, Any]:
    """What com.atproto.server.checkAccountStatus tells of an account's room."""
    used = await ctx.actor_store.read(did, lambda actor: actor.usage.used_bytes())
    return {"usedBytes": used, "quotaBytes": find_quota(ctx, did)}


def within_quota(ctx: AppContext, did: str, plan: Plan) -> Plan:
    """`plan`, but raising `QuotaExceeded` if its writes need more room than there is.

    Writes that add nothing are always allowed: deletions, and records in place of larger ones.
    """
    quota = find_quota(ctx, did)
    if quota is None:
        return plan

    def planned(actor: ActorStoreReader) -> Sequence[PreparedWrite] | None:
        writes = plan(actor)
        if writes is not None:
            _check_writes(actor, quota, writes)
        return writes

    return planned


def check_growth(actor: ActorStoreReader, quota_bytes: int | None, used_bytes: int) -> None:
    """Inside a transaction that has written: raise `QuotaExceeded` if it has passed the quota.

    `used_bytes` is what was used before. One that makes room is always allowed.
    """
    used = actor.usage.used_bytes()
    if quota_bytes is not None and used > max(quota_bytes, used_bytes):
        raise QuotaExceeded(
            used_bytes=used_bytes, quota_bytes=quota_bytes, adding_bytes=used - used_bytes
        )


class UploadRoom:
    """The room that an account has for an upload."""

    def __init__(self, used_bytes: int, quota_bytes: int | None) -> None:
        """As it was when the upload began; None means that there is no limit."""
        self._used_bytes = used_bytes
        self._quota_bytes = quota_bytes

    @classmethod
    async def find(cls, ctx: AppContext, did: str) -> UploadRoom:
        """That of an account, as it is now."""
        quota = find_quota(ctx, did)
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

    def check_new(self, actor: ActorStoreReader, temp: TempBlob) -> None:
        """Inside the transaction that enters an upload: as `check`, with what is used by now."""
        # The same bytes once more take no more room.
        if self._quota_bytes is not None and actor.blob.find(temp.cid) is None:
            _check(actor, self._quota_bytes, temp.size)

    async def _meter(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        received = 0
        async for chunk in chunks:
            received += len(chunk)
            self.check(received)
            yield chunk


def _check(actor: ActorStoreReader, quota_bytes: int, adding_bytes: int) -> None:
    used = actor.usage.used_bytes()
    if used + adding_bytes > quota_bytes:
        raise QuotaExceeded(used_bytes=used, quota_bytes=quota_bytes, adding_bytes=adding_bytes)


def _check_writes(
    actor: ActorStoreReader, quota_bytes: int, writes: Sequence[PreparedWrite]
) -> None:
    added = sum(len(write.block) for write in writes if write.block is not None)
    if not added:
        return
    try:
        _check(actor, quota_bytes, added)
    except QuotaExceeded:
        if added > _replaced_bytes(actor, writes):
            raise


def _replaced_bytes(actor: ActorStoreReader, writes: Sequence[PreparedWrite]) -> int:
    """How long the records are that `writes` replace or delete."""
    replaced = {(write.collection, write.rkey) for write in writes if write.action != "create"}
    cids = [actor.record.find_cid(collection, rkey) for collection, rkey in replaced]
    found = actor.repo.find_blocks(cid for cid in cids if cid is not None)
    return sum(map(len, found.values()))
