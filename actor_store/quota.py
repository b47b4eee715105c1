"""Quotas: limits on the space that an actor may use.

The database and all uploads of an actor count together. The check happens inside the transaction
that adds data, so concurrent writers cannot exceed the quota together. A commit may exceed it by
the growth of the tree and the indexes, usually some kilobytes and at most two megabytes; a
complete upload never exceeds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from actor_store.errors import QuotaExceeded

if TYPE_CHECKING:
    from actor_store.blob_store.base import TempBlob
    from actor_store.reader import ActorStoreReader
    from actor_store.writes import PreparedWrite


def no_quota(_did: str) -> None:
    """Return None: no actor has a limit."""


def check_writes(
    actor: ActorStoreReader, quota_bytes: int, writes: Sequence[PreparedWrite]
) -> None:
    """Raise `QuotaExceeded` if `writes` do not fit the quota.

    Writes that add nothing are always allowed: deletions, and replacing records by smaller ones.
    """
    added = sum(len(write.block) for write in writes if write.block is not None)
    if not added:
        return
    used = actor.usage.used_bytes()
    if used + added > quota_bytes and added > _replaced_bytes(actor, writes):
        raise QuotaExceeded(used_bytes=used, quota_bytes=quota_bytes, adding_bytes=added)


def check_upload(actor: ActorStoreReader, quota_bytes: int, temp: TempBlob) -> None:
    """Raise `QuotaExceeded` if an upload about to be stored does not fit."""
    used = actor.usage.used_bytes()
    # Uploading the same bytes again takes no more space.
    if used + temp.size > quota_bytes and actor.blob.find(temp.cid) is None:
        raise QuotaExceeded(used_bytes=used, quota_bytes=quota_bytes, adding_bytes=temp.size)


def check_growth(actor: ActorStoreReader, quota_bytes: int, used_before_bytes: int) -> None:
    """Raise `QuotaExceeded` if a transaction has written more than the quota allows.

    A transaction that frees space is always allowed, even if the rest is still too much.
    """
    used = actor.usage.used_bytes()
    if used > max(quota_bytes, used_before_bytes):
        raise QuotaExceeded(
            used_bytes=used_before_bytes,
            quota_bytes=quota_bytes,
            adding_bytes=used - used_before_bytes,
        )


def _replaced_bytes(actor: ActorStoreReader, writes: Sequence[PreparedWrite]) -> int:
    """Return the size of the records that `writes` replace or delete."""
    replaced = {(write.collection, write.rkey) for write in writes if write.action != "create"}
    cids = [actor.record.find_cid(collection, rkey) for collection, rkey in replaced]
    found = actor.repo.find_blocks(cid for cid in cids if cid is not None)
    return sum(map(len, found.values()))
