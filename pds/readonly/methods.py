"""The methods of the read-only server: the reading ones of every server, some with own handlers.

All others are refused: nobody can log in, and nothing can be written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import Any, Final

from actor_store.media_type import media_type_of
from pds import api
from pds.api.repo.reads import GET_RECORD, collections_of, read_record
from pds.api.sync.reads import parse_cid_param, referenced_blobs
from pds.readonly.archive import ARCHIVE, Archive
from pds.readonly.catalog import CatalogedRepo
from pds.repos.blobs import UNKNOWN_TYPE, declared_type
from pds.repos.readable import get_readable_account
from pds.xrpc.blobs import send_blob
from pds.xrpc.call import Answer, ReadCall
from pds.xrpc.errors import XrpcError, invalid_request
from pds.xrpc.methods import Method, ReadMethods
from repo.cid import Cid
from repo.syntax import normalize_handle

own = ReadMethods()

_SHARED: Final = frozenset(
    (
        "com.atproto.repo.listRecords",
        *(
            f"com.atproto.sync.{name}"
            for name in (
                *("getBlocks", "getCheckout", "getHead", "getLatestCommit", "getRecord", "getRepo"),
                *("getRepoStatus", "listRepos", "subscribeRepos"),
            )
        ),
    )
)
"""Methods that a full server answers in the same way."""


def readonly_methods() -> Iterator[Method[ReadCall]]:
    """Yield every method that is served. Nobody has credentials, so none are checked."""
    for method in chain.from_iterable(api.READ_METHODS):
        if method.nsid in _SHARED:
            yield replace(method, auth=None)
    yield from own


@own.method(GET_RECORD)
async def get_record(call: ReadCall) -> Answer:
    """com.atproto.repo.getRecord: of the repositories here, for no other server is asked"""
    account = call.ctx.accounts.find_account(call.params["repo"])
    if account is None:
        raise invalid_request("Could not locate record")
    return await read_record(call, account)


@own.method("com.atproto.server.describeServer")
async def describe_server(call: ReadCall) -> Answer:
    """com.atproto.server.describeServer: `readOnly` tells what this server is"""
    settings = call.ctx.settings
    contact = settings.service.contact_email_address
    return {
        "did": settings.service_did,
        "availableUserDomains": [],
        "inviteCodeRequired": True,
        "readOnly": True,
        "links": {},
        "contact": {"email": contact} if contact else {},
    }


@own.method("com.atproto.identity.resolveHandle")
async def resolve_handle(call: ReadCall) -> Answer:
    """com.atproto.identity.resolveHandle: of the repositories that are here"""
    account = call.ctx.accounts.find_account(normalize_handle(call.params["handle"]))
    if account is None:
        raise invalid_request("Unable to resolve handle", "HandleNotFound")
    return {"did": account.did}


@own.method("com.atproto.repo.describeRepo")
async def describe_repo(call: ReadCall) -> Answer:
    """com.atproto.repo.describeRepo: with the DID document as it was when the file was loaded"""
    account = get_readable_account(call.ctx, call.params["repo"], call.may_see_everything_of)
    repo = _archive(call).catalog.find_repo(account.did)
    collections = await collections_of(call, account.did)
    return {
        "handle": account.shown_handle,
        "did": account.did,
        "didDoc": _document_of(account.did, repo),
        "collections": collections,
        "handleIsCorrect": _has_handle_in_document(account.handle, repo),
    }


@own.method("com.atproto.sync.getBlob")
async def get_blob(call: ReadCall) -> Answer:
    """com.atproto.sync.getBlob"""
    did = get_readable_account(call.ctx, call.params["did"], call.may_see_everything_of).did
    cid = parse_cid_param(call.params["cid"])
    async with call.ctx.streams.blobs.turn(call.request, call.address_group):
        async with call.ctx.open_files.room(1):
            found = await _archive(call).blobs.open(did, cid)
        if found is None:
            raise XrpcError(404, "BlobNotFound", "Blob not found")
        async with found.file as file:
            declared = await call.ctx.actor_store.read(did, lambda actor: declared_type(actor, cid))
            mime_type = media_type_of(found.head, declared or UNKNOWN_TYPE)
            return await send_blob(call.request, file, cid=cid, mime_type=mime_type, private=False)


@own.method("com.atproto.sync.listBlobs")
async def list_blobs(call: ReadCall) -> Answer:
    """com.atproto.sync.listBlobs: those that records refer to and that there are files of"""
    params, blobs = call.params, _archive(call).blobs
    did = get_readable_account(call.ctx, params["did"], call.may_see_everything_of).did
    limit = params["limit"]
    cursor: str | None = params.get("cursor")
    cids: list[Cid] = []
    while referenced := await referenced_blobs(call, did, limit=limit, cursor=cursor):
        cids += await blobs.present(did, referenced)
        cursor = str(referenced[-1])
        if len(cids) >= limit or len(referenced) < limit:
            break
    output: dict[str, Any] = {"cids": [str(cid) for cid in cids[:limit]]}
    if cids:
        output["cursor"] = str(cids[:limit][-1])
    return output


def _archive(call: ReadCall) -> Archive:
    return call.request.app[ARCHIVE]


def _document_of(did: str, repo: CatalogedRepo | None) -> dict[str, Any]:
    """Return the document, or a minimal one if it could not be resolved."""
    if repo is not None and repo.did_doc is not None:
        return repo.did_doc
    document: dict[str, Any] = {"@context": ["https://www.w3.org/ns/did/v1"], "id": did}
    if repo is not None and repo.handle is not None:
        document["alsoKnownAs"] = [f"at://{repo.handle}"]
    return document


def _has_handle_in_document(handle: str | None, repo: CatalogedRepo | None) -> bool:
    document = repo.did_doc if repo is not None else None
    return document is not None and f"at://{handle}" in document.get("alsoKnownAs", ())
