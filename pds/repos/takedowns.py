"""Takedowns of records and blobs: hidden from everyone, deleted by nobody, and reversible.

A second takedown keeps the reference of the first, which says why. None of this is told to the
network: consumers hear of accounts only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from repo.cid import Cid
from repo.syntax import AtUri

if TYPE_CHECKING:
    from pds.context import AppContext


async def set_record_takedown(ctx: AppContext, uri: AtUri, ref: str | None) -> str | None:
    """Hide a record, or with None reverse it. Return the reference that is kept.

    Raises `RepoNotFound` and `RecordNotFound`.
    """
    collection, rkey = uri.collection or "", uri.rkey or ""
    return await ctx.actor_store.transact(
        uri.authority, lambda actor: actor.record.set_takedown(collection, rkey, ref)
    )


async def set_blob_takedown(ctx: AppContext, did: str, cid: Cid, ref: str | None) -> str | None:
    """Hide a blob, or with None reverse it. Return the reference that is kept.

    Raises `RepoNotFound` and `BlobNotFound`.
    """
    kept = await ctx.actor_store.transact(did, lambda actor: actor.blob.set_takedown(cid, ref))
    # The row hides the blob; moving its bytes keeps them from any other way of serving files.
    if kept is None:
        await ctx.blob_store.unquarantine(did, cid)
    else:
        await ctx.blob_store.quarantine(did, cid)
    return kept
