"""Storing uploaded and imported blobs, and determining their media type."""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, Callable
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

from actor_store.media_type import media_type_of
from pds.peers.calls import by_owner
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
"""The largest blob an operator may import. It exceeds the upload limit because a previous server
may have allowed more."""
_is_media_type: Final = re.compile(r"[\w!#$&^.+-]{1,127}/[\w!#$&^.+-]{1,127}", re.ASCII).fullmatch
"""Without parameters (RFC 6838, section 4.2)."""


BlobCheck: TypeAlias = "Callable[[ActorStoreReader, TempBlob], None]"
"""May refuse a blob by raising. It can be pickled: a function of a module, or a part of one."""


def _accept(_actor: ActorStoreReader, _temp: TempBlob) -> None:
    """The check of blobs that nothing is known about."""


async def receive_blob(
    ctx: AppContext,
    did: str,
    chunks: AsyncIterable[bytes],
    *,
    declared_type: str,
    max_bytes: int,
    check: BlobCheck = _accept,
    ignores_quota: bool = False,
) -> BlobRef:
    """Store a blob of an account, whether or not a record refers to it yet.

    `declared_type` is used where the type cannot be told from the bytes. `check` may refuse the
    blob by raising, inside the transaction that inserts it. A refused blob leaves nothing behind.
    Raises what `BlobStore.put_temp` and `BlobFiles.keep_upload` raise.
    """
    temp = await ctx.blob_store.put_temp(did, chunks, max_bytes=max_bytes)
    mime_type = media_type_of(temp.head, declared_type)
    await _keep(ctx, did, temp, mime_type, check, ignores_quota=ignores_quota)
    return BlobRef(temp.cid, mime_type, temp.size)


@by_owner
async def _keep(
    ctx: AppContext,
    did: str,
    temp: TempBlob,
    mime_type: str,
    check: BlobCheck,
    *,
    ignores_quota: bool,
) -> None:
    await ctx.actor_store.blob_files.keep_upload(
        did,
        temp,
        mime_type=mime_type,
        check=lambda actor: check(actor, temp),
        ignores_quota=ignores_quota,
    )


@by_owner
async def settle_uploads(ctx: AppContext, did: str) -> None:
    """Make uploads permanent that records refer to without a commit, such as after an import.

    Raises what `BlobFiles.settle_uploads` raises.
    """
    await ctx.actor_store.blob_files.settle_uploads(did)


async def list_missing_blobs(
    ctx: AppContext, did: Did, *, limit: int, after: str | None = None
) -> list[Cid]:
    """Return the blobs that an account's records refer to but that are missing here, by CID."""
    missing = await ctx.actor_store.read(
        did, lambda actor: actor.blob.list_missing(limit=limit, cursor=after)
    )
    return [blob.cid for blob in missing]


async def import_blob(ctx: AppContext, did: Did, cid: Cid, chunks: AsyncIterable[bytes]) -> BlobRef:
    """Store a blob that a record of the account refers to, regardless of the quota.

    `MAX_BLOB_BYTES` is the only size limit.

    Raises `BlobRefused` if no record refers to it or the bytes do not match `cid`, and what
    `receive_blob` raises. Nothing is stored then.
    """

    declared = await ctx.actor_store.read(did, lambda actor: declared_type(actor, cid))
    return await receive_blob(
        ctx,
        did,
        chunks,
        declared_type=declared or UNKNOWN_TYPE,
        max_bytes=MAX_BLOB_BYTES,
        check=partial(_check_wanted, did, cid),
        ignores_quota=True,
    )


def _check_wanted(did: str, cid: Cid, actor: ActorStoreReader, temp: TempBlob) -> None:
    if temp.cid != cid:
        raise BlobRefused(f"These are the bytes of {temp.cid}, not of {cid}")
    if not actor.blob.is_referenced(cid):
        raise BlobRefused(f"No record of {did} refers to the blob {cid}")


def declared_type(actor: ActorStoreReader, cid: Cid) -> str | None:
    """Return the media type that a record declares for a blob, if it is a valid one.

    None if that record is large, because parsing it would take too long.
    """
    for uri in actor.blob.records_with(cid, limit=1):
        collection, rkey = uri.split("/")[-2:]
        record = actor.record.find(collection, rkey)
        if record is not None and len(record.block) < LARGE_BYTES:
            try:
                refs = iter_blob_refs(read_kept(record.block))
            except InvalidRecord:
                return None
            # An imported record may declare anything, including text not allowed in a header.
            stated = next((ref.mime_type for ref in refs if ref.cid == cid), "")
            mime_type = stated.partition(";")[0].strip()
            return mime_type if _is_media_type(mime_type) else None
    return None
