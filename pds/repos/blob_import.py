"""Blobs of accounts that have moved in, brought by the operator."""

from __future__ import annotations

from collections.abc import AsyncIterable
from typing import TYPE_CHECKING, Final

from pds.repos.blobs import UNKNOWN_TYPE, declared_type, receive_blob
from pds.repos.errors import BlobRefused

if TYPE_CHECKING:
    from actor_store.blob_store.base import TempBlob
    from actor_store.reader import ActorStoreReader
    from pds.context import AppContext
    from repo.cid import Cid
    from repo.datamodel import BlobRef
    from repo.syntax import Did

MAX_BLOB_BYTES: Final = 4 * 1024**3
"""The largest blob that is taken: the server it comes from may have allowed more than this one."""


async def list_missing_blobs(
    ctx: AppContext, did: Did, *, limit: int, after: str | None = None
) -> list[Cid]:
    """Blobs that records of an account refer to and that are not here, by CID."""
    missing = await ctx.actor_store.read(
        did, lambda actor: actor.blob.list_missing(limit=limit, cursor=after)
    )
    return [blob.cid for blob in missing]


async def import_blob(ctx: AppContext, did: Did, cid: Cid, chunks: AsyncIterable[bytes]) -> BlobRef:
    """Keep a blob that a record of the account refers to, whatever its size and the quota.

    Raises `BlobRefused` if none does, or if these are the bytes of another, and as
    `receive_blob` does. Nothing is kept then.
    """

    def check(actor: ActorStoreReader, temp: TempBlob) -> None:
        if temp.cid != cid:
            raise BlobRefused(f"These are the bytes of {temp.cid}, not of {cid}")
        if not actor.blob.is_referenced(cid):
            raise BlobRefused(f"No record of {did} refers to the blob {cid}")

    declared = await ctx.actor_store.read(did, lambda actor: declared_type(actor, cid))
    return await receive_blob(
        ctx,
        did,
        chunks,
        declared_type=declared or UNKNOWN_TYPE,
        max_bytes=MAX_BLOB_BYTES,
        check=check,
        ignores_quota=True,
    )
