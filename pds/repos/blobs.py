"""Blobs: keeping the bytes that a user or the operator brings, and telling their media type."""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, Callable
from typing import TYPE_CHECKING, Final

from actor_store.media_type import media_type_of
from pds.repos.errors import BlobRefused
from repo.datamodel import BlobRef, iter_blob_refs
from repo.odd_record import read_kept
from repo.record import LARGE_BYTES, InvalidRecord

if TYPE_CHECKING:
    from actor_store.blob_store.base import TempBlob
    from actor_store.reader import ActorStoreReader
    from pds.context import AppContext
    from repo.cid import Cid
    from repo.syntax import Did

UNKNOWN_TYPE: Final = "application/octet-stream"
MAX_BLOB_BYTES: Final = 4 * 1024**3
"""The largest blob that the operator may bring: another server may have allowed more than this."""
_is_media_type: Final = re.compile(r"[\w!#$&^.+-]{1,127}/[\w!#$&^.+-]{1,127}", re.ASCII).fullmatch
"""Without parameters (RFC 6838, section 4.2)."""


async def receive_blob(
    ctx: AppContext,
    did: str,
    chunks: AsyncIterable[bytes],
    *,
    declared_type: str,
    max_bytes: int,
    check: Callable[[ActorStoreReader, TempBlob], None] = lambda _actor, _temp: None,
    ignores_quota: bool = False,
) -> BlobRef:
    """Keep a blob of an account, until a record refers to it or for one that does.

    `declared_type` counts where the bytes do not tell their type. `check` may refuse the blob by
    raising, in the transaction that enters it. Nothing is kept of one that is refused. Raises what
    `BlobStore.put_temp` and `ActorStore.keep_upload` raise.
    """
    temp = await ctx.blob_store.put_temp(did, chunks, max_bytes=max_bytes)
    mime_type = media_type_of(temp.head, declared_type)
    await ctx.actor_store.keep_upload(
        did,
        temp,
        mime_type=mime_type,
        check=lambda actor: check(actor, temp),
        ignores_quota=ignores_quota,
    )
    return BlobRef(temp.cid, mime_type, temp.size)


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


def declared_type(actor: ActorStoreReader, cid: Cid) -> str | None:
    """The media type under which some record refers to a blob, if it is one.

    None where that record is large, for it would take long to read.
    """
    for uri in actor.blob.records_with(cid, limit=1):
        collection, rkey = uri.split("/")[-2:]
        record = actor.record.find(collection, rkey)
        if record is not None and len(record.block) < LARGE_BYTES:
            try:
                refs = iter_blob_refs(read_kept(record.block))
            except InvalidRecord:
                return None
            # A record that was imported may say anything, also what has no place in a header.
            stated = next((ref.mime_type for ref in refs if ref.cid == cid), "")
            mime_type = stated.partition(";")[0].strip()
            return mime_type if _is_media_type(mime_type) else None
    return None
