"""com.atproto.sync: repositories, blocks and blobs, for everyone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from aiohttp import hdrs, web

from actor_store.blob_store.base import BlobFileMissing
from actor_store.errors import BlobNotFound
from actor_store.reader import ActorStoreReader
from database.timestamps import epoch_ms_of, iso_of
from pds.accounts.account import AccountStatus
from pds.accounts.scopes import STANDARD, SessionScope
from pds.rate_limits.limit import MINUTE_S, by_ip
from pds.rate_limits.method_limits import calls
from pds.repos import heads
from pds.repos.errors import UnknownRepo
from pds.repos.readable import get_readable_account
from pds.xrpc.accept_encoding import packing_of
from pds.xrpc.auth import optional_user
from pds.xrpc.blobs import find_redirect, send_blob
from pds.xrpc.call import Answer, ReadCall
from pds.xrpc.errors import XrpcError, invalid_request
from pds.xrpc.methods import ReadMethods
from pds.xrpc.responses import add_common_headers
from pds.xrpc.streaming import send_stream
from repo.car import encode_car
from repo.cid import Cid, InvalidCid

methods = ReadMethods()

CAR_TYPE: Final = "application/vnd.ipld.car"
_FEW_BYTES: Final = 256 * 1024
"""As much as can be read in a millisecond."""
_READER = optional_user(STANDARD)
_READER_OR_TAKENDOWN = optional_user(STANDARD | {SessionScope.TAKENDOWN})
_REPOS_CURSOR: Final = re.compile(r"(\d{1,15})::(did:.+)", re.DOTALL)


@methods.method("com.atproto.sync.getLatestCommit", auth=_READER)
async def get_latest_commit(call: ReadCall) -> Answer:
    """com.atproto.sync.getLatestCommit"""
    did = get_readable_account(call.ctx, call.params["did"], call.may_see_everything_of).did
    head = await call.ctx.actor_store.read_one(did, lambda actor: actor.repo.head())
    return {"cid": str(head.cid), "rev": head.rev}


@methods.method("com.atproto.sync.getHead", auth=_READER)
async def get_head(call: ReadCall) -> Answer:
    """com.atproto.sync.getHead (deprecated)"""
    did = get_readable_account(call.ctx, call.params["did"], call.may_see_everything_of).did
    head = await call.ctx.actor_store.read_one(did, lambda actor: actor.repo.head())
    return {"root": str(head.cid)}


@methods.method(
    "com.atproto.sync.getRepo",
    auth=_READER_OR_TAKENDOWN,
    limits=calls(by_ip, {5 * MINUTE_S: 6000}, counts_among_all=False),
)
async def get_repo(call: ReadCall) -> Answer:
    """com.atproto.sync.getRepo"""
    did = get_readable_account(call.ctx, call.params["did"], call.may_see_everything_of).did
    since: str | None = call.params.get("since")
    return await _stream_car(call, did, lambda actor: actor.repo.iter_car(since=since))


@methods.method("com.atproto.sync.getCheckout", auth=_READER)
async def get_checkout(call: ReadCall) -> Answer:
    """com.atproto.sync.getCheckout (deprecated): getRepo without `since`"""
    did = get_readable_account(call.ctx, call.params["did"], call.may_see_everything_of).did
    return await _stream_car(call, did, lambda actor: actor.repo.iter_car(since=None))


@methods.method("com.atproto.sync.getRecord", auth=_READER)
async def get_record(call: ReadCall) -> Answer:
    """com.atproto.sync.getRecord: a record with its proof, or the proof that there is none"""
    params = call.params
    did = get_readable_account(call.ctx, params["did"], call.may_see_everything_of).did
    collection, rkey = params["collection"], params["rkey"]
    head, blocks = await call.ctx.actor_store.read(
        did, lambda actor: (actor.repo.head(), actor.repo.record_proof(collection, rkey))
    )
    return _car_response(encode_car((head.cid,), blocks.items()))


@methods.method("com.atproto.sync.getBlocks", auth=_READER)
async def get_blocks(call: ReadCall) -> Answer:
    """com.atproto.sync.getBlocks"""
    did = get_readable_account(call.ctx, call.params["did"], call.may_see_everything_of).did
    cids = [parse_cid_param(text) for text in dict.fromkeys(call.params["cids"])]
    store = call.ctx.actor_store

    def find(actor: ActorStoreReader) -> dict[Cid, bytes] | None:
        sizes = actor.repo.block_sizes(cids)
        missing = [str(cid) for cid in cids if cid not in sizes]
        if missing:
            raise invalid_request(f"Could not find cids: {', '.join(missing)}")
        return None if sum(sizes.values()) > _FEW_BYTES else actor.repo.find_blocks(cids)

    blocks = await store.read(did, find)
    if blocks is not None:
        return _car_response(encode_car((), blocks.items()))
    # If a block goes meanwhile, the CAR lacks it; each one that is there can be verified.
    return await _stream_car(call, did, lambda actor: actor.repo.iter_blocks_car(cids))


@methods.method("com.atproto.sync.getRepoStatus")
async def get_repo_status(call: ReadCall) -> Answer:
    """com.atproto.sync.getRepoStatus"""
    did = call.params["did"]
    account = call.ctx.accounts.find_account(did, include_inactive=True)
    if account is None:
        raise UnknownRepo(did)
    if not account.active:
        return {"did": did, "active": False, "status": account.status}
    head = await call.ctx.actor_store.read_one(did, lambda actor: actor.repo.head())
    return {"did": did, "active": True, "rev": head.rev}


@methods.method("com.atproto.sync.listRepos")
async def list_repos(call: ReadCall) -> Answer:
    """com.atproto.sync.listRepos"""
    cursor = call.params.get("cursor")
    after = _parse_repos_cursor(cursor) if cursor else None
    repos = await heads.list_repos(call.ctx, limit=call.params["limit"], after=after)
    output: dict[str, Any] = {
        "repos": [
            {
                "did": repo.did,
                "head": repo.head,
                "rev": repo.rev,
                "active": repo.status is AccountStatus.ACTIVE,
                **({} if repo.status is AccountStatus.ACTIVE else {"status": repo.status}),
            }
            for repo in repos
        ]
    }
    if repos:
        last = repos[-1]
        output["cursor"] = f"{epoch_ms_of(last.created_at)}::{last.did}"
    return output


@methods.method("com.atproto.sync.listBlobs", auth=_READER_OR_TAKENDOWN)
async def list_blobs(call: ReadCall) -> Answer:
    """com.atproto.sync.listBlobs"""
    params = call.params
    did = get_readable_account(call.ctx, params["did"], call.may_see_everything_of).did
    cids = await referenced_blobs(call, did, limit=params["limit"], cursor=params.get("cursor"))
    output: dict[str, Any] = {"cids": [str(cid) for cid in cids]}
    if cids:
        output["cursor"] = str(cids[-1])
    return output


@methods.method("com.atproto.sync.getBlob", auth=_READER_OR_TAKENDOWN)
async def get_blob(call: ReadCall) -> Answer:
    """com.atproto.sync.getBlob"""
    account = get_readable_account(call.ctx, call.params["did"], call.may_see_everything_of)
    did, cid = account.did, parse_cid_param(call.params["cid"])
    async with call.ctx.streams.blobs.turn(call.request, call.address_group):
        try:
            blob = await call.ctx.actor_store.read_one(
                did, lambda actor: actor.blob.get_servable(cid)
            )
            # A CDN keeps what it was asked for: only what anyone may read goes through it.
            if call.ctx.blob_links is not None and account.active:
                redirect = await find_redirect(
                    call.request, call.ctx.blob_links, did, cid, mime_type=blob.mime_type
                )
                if redirect is not None:
                    return redirect
            opened = await call.ctx.blob_store.open(did, cid)
        except (BlobNotFound, BlobFileMissing) as exc:
            raise invalid_request("Blob not found") from exc
        return await send_blob(
            call.request, opened, cid=cid, mime_type=blob.mime_type, private=True
        )


def _car_response(car: bytes) -> web.Response:
    return web.Response(body=car, content_type=CAR_TYPE)


async def referenced_blobs(
    call: ReadCall, did: str, *, limit: int, cursor: str | None
) -> list[Cid]:
    """Return the blobs after `cursor` that records since the requested rev refer to."""
    ctx, since = call.ctx, call.params.get("since")

    def page(actor: ActorStoreReader) -> list[Cid]:
        return actor.blob.list_referenced(limit=limit, cursor=cursor, since=since)

    if since is None:
        return await ctx.actor_store.read_one(did, page)
    async with ctx.large_work.wait(*ctx.askers()):
        return await ctx.actor_store.read_in_thread(did, page)


async def _stream_car(
    call: ReadCall, did: str, parts: Callable[[ActorStoreReader], Iterator[bytes]]
) -> web.StreamResponse:
    response = web.StreamResponse()
    response.content_type = CAR_TYPE
    add_common_headers(response.headers, private=True)
    # An answer to HEAD has no body, but a compressor would write an ending.
    packing = packing_of(call.request)
    if packing.coding is not None and call.request.method != hdrs.METH_HEAD:
        response.enable_compression(packing.coding)
    async with call.ctx.streams.repos.turn(call.request, call.address_group):
        return await send_stream(call.request, response, call.ctx.actor_store.stream(did, parts))


def parse_cid_param(text: str) -> Cid:
    """Parse a CID of a query. Raises `XrpcError` 400."""
    try:
        return Cid.parse(text)
    except InvalidCid as exc:
        raise invalid_request(str(exc)) from exc


def _parse_repos_cursor(cursor: str) -> tuple[str, str]:
    """Split `<ms>::<did>` into a `createdAt` as stored and a DID."""
    match = _REPOS_CURSOR.fullmatch(cursor)
    if match is None:
        raise XrpcError(400, message="Malformed cursor")
    try:
        return iso_of(int(match[1]) / 1000), match[2]
    except (OverflowError, ValueError, OSError) as exc:
        raise XrpcError(400, message="Malformed cursor") from exc
