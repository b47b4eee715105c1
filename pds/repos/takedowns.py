"""Takedowns of records and blobs: they are hidden but not deleted, and can be restored.

A second takedown keeps the reference of the first, which gives the reason. No events are emitted:
the protocol announces takedowns of accounts only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pds.peers.calls import by_owner
from repo.cid import Cid
from repo.syntax import AtUri

if TYPE_CHECKING:
    from pds.context import AppContext


async def set_record_takedown(ctx: AppContext, uri: AtUri, ref: str | None) -> str | None:
    """Take down a record, or reverse that if `ref` is None. Return the stored reference.

    Raises `RepoNotFound` and `RecordNotFound`.
    """
    return await _set_record_takedown(ctx, uri.authority, uri.collection or "", uri.rkey or "", ref)


@by_owner
async def _set_record_takedown(
    ctx: AppContext, did: str, collection: str, rkey: str, ref: str | None
) -> str | None:
    return await ctx.actor_store.transact(
        did, lambda actor: actor.record.set_takedown(collection, rkey, ref)
    )


@by_owner
async def set_blob_takedown(ctx: AppContext, did: str, cid: Cid, ref: str | None) -> str | None:
    """Take down a blob, or reverse that if `ref` is None. Return the stored reference.

    Raises `RepoNotFound` and `BlobNotFound`.
    """
    if ref is not None:
        return await ctx.actor_store.blob_files.take_down(did, cid, ref)
    await ctx.actor_store.blob_files.restore(did, cid)
    return None
