"""Quotas: the refusal to let an actor take more room than it may.

The database and all uploads of an actor count together. The check happens inside the transaction
that adds something, so writers that come at once cannot pass the quota together. A commit may pass
it by what the tree and the indexes grow beside its records, some kilobytes as a rule and two
megabytes at the most; an upload by nothing once it is complete.
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
    """No actor has a limit."""


def check_writes(
    actor: ActorStoreReader, quota_bytes: int, writes: Sequence[PreparedWrite]
) -> None:
    """Raise `QuotaExceeded` if `writes` need more room than there is.

    Writes that add nothing are always allowed: deletions, and records in place of larger ones.
    """
    added = sum(len(write.block) for write in writes if write.block is not None)
    if not added:
        return
    used = actor.usage.used_bytes()
    if used + added > quota_bytes and added > _replaced_bytes(actor, writes):
        raise QuotaExceeded(used_bytes=used, quota_bytes=quota_bytes, adding_bytes=added)


def check_upload(actor: ActorStoreReader, quota_bytes: int, temp: TempBlob) -> None:
    """Raise `QuotaExceeded` if an upload that is about to be entered does not fit."""
    used = actor.usage.used_bytes()
    # The same bytes once more take no more room.
    if used + temp.size > quota_bytes and actor.blob.find(temp.cid) is None:
        raise QuotaExceeded(used_bytes=used, quota_bytes=quota_bytes, adding_bytes=temp.size)


def check_growth(actor: ActorStoreReader, quota_bytes: int, used_before_bytes: int) -> None:
    """Raise `QuotaExceeded` if a transaction has written more than there was room for.

    One that makes room is always allowed, even if what is left is still too much.
    """
    used = actor.usage.used_bytes()
    if used > max(quota_bytes, used_before_bytes):
        raise QuotaExceeded(
            used_bytes=used_before_bytes,
            quota_bytes=quota_bytes,
            adding_bytes=used - used_before_bytes,
        )


def _replaced_bytes(actor: ActorStoreReader, writes: Sequence[PreparedWrite]) -> int:
    """How long the records are that `writes` replace or delete."""
    replaced = {(write.collection, write.rkey) for write in writes if write.action != "create"}
    cids = [actor.record.find_cid(collection, rkey) for collection, rkey in replaced]
    found = actor.repo.find_blocks(cid for cid in cids if cid is not None)
    return sum(map(len, found.values()))
