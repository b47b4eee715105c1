"""com.atproto.repo: the blobs that records refer to."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

from actor_store.blob_store.base import TempBlob
from actor_store.errors import RepoNotFound
from actor_store.reader import ActorStoreReader
from pds.rate_limits.limit import DAY_S, by_ip
from pds.rate_limits.method_limits import calls
from pds.repos.blobs import receive_blob
from pds.repos.quotas import UploadRoom
from pds.xrpc.auth import user, user_or_service
from pds.xrpc.body import check_length, iter_body, may_be_large
from pds.xrpc.call import Answer, XrpcCall
from pds.xrpc.methods import XrpcMethods
from pds.xrpc.oauth_demands import ANY, BLOB
from repo.datamodel import BlobRef
from repo.syntax import Did

methods = XrpcMethods()


@methods.method(
    "com.atproto.repo.uploadBlob",
    auth=user_or_service(oauth=BLOB),
    limits=calls(by_ip, {DAY_S: 1000}),
)
async def upload_blob(call: XrpcCall) -> Answer:
    """com.atproto.repo.uploadBlob: kept for a record that is about to refer to it"""
    return await upload_to(call, call.caller)


def _allow(_actor: ActorStoreReader, _temp: TempBlob) -> None:
    """The check of an upload by the owner of the repository."""


async def upload_to(
    call: XrpcCall, did: Did, check: Callable[[ActorStoreReader, TempBlob], None] = _allow
) -> Answer:
    """Receive a blob for the repository of `did`, if `check` lets it pass once it is here."""
    ctx, request = call.ctx, call.request
    if not ctx.actor_store.exists(did):
        # Anyone can make a service token: check before the bytes come in.
        raise RepoNotFound(did)
    limit = ctx.settings.service.blob_upload_limit_bytes
    check_length(request, limit)
    room = await UploadRoom.find(ctx, did)
    room.check(request.content_length or 0)
    async with AsyncExitStack() as stack:
        if ctx.bucket is not None and may_be_large(request):
            # On its way to S3, it gathers in memory.
            await stack.enter_async_context(ctx.large_work.bodies.turn(*ctx.askers(), did))
        blob = await receive_blob(
            ctx,
            did,
            room.metered(iter_body(request)),
            declared_type=request.headers["Content-Type"],
            max_bytes=limit,
            check=check,
        )
    return {"blob": BlobRef(blob.cid, blob.mime_type, blob.size).to_json()}


@methods.method("com.atproto.repo.listMissingBlobs", auth=user(oauth=ANY))
async def list_missing_blobs(call: XrpcCall) -> Answer:
    """com.atproto.repo.listMissingBlobs: what is to be uploaded after an import"""
    ctx, params = call.ctx, call.params
    async with ctx.large_work.wait(*ctx.askers()):
        missing = await ctx.actor_store.read_in_thread(
            call.user.did,
            lambda actor: actor.blob.list_missing(
                limit=params["limit"], cursor=params.get("cursor")
            ),
        )
    answer: dict[str, Any] = {
        "blobs": [{"cid": str(blob.cid), "recordUri": blob.record_uri} for blob in missing]
    }
    if missing:
        answer["cursor"] = str(missing[-1].cid)
    return answer
