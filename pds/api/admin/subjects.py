"""com.atproto.admin: the status of accounts, records and blobs, and takedowns."""

from __future__ import annotations

from typing import Any, Final

from actor_store.errors import BlobNotFound, RecordNotFound, RepoNotFound
from actor_store.reader import ActorStoreReader
from database.timestamps import now_iso
from pds.context import AppContext
from pds.lifecycle import states
from pds.repos.takedowns import set_blob_takedown, set_record_takedown
from pds.xrpc.auth import moderator
from pds.xrpc.call import Answer, XrpcCall
from pds.xrpc.errors import XrpcError, invalid_request
from pds.xrpc.methods import XrpcMethods
from repo.cid import Cid
from repo.syntax import AtUri, Did, parse_at_uri, parse_did

methods = XrpcMethods()

_REPO: Final = "com.atproto.admin.defs#repoRef"
_BLOB: Final = "com.atproto.admin.defs#repoBlobRef"
_RECORD: Final = "com.atproto.repo.strongRef"


@methods.method("com.atproto.admin.getSubjectStatus", auth=moderator)
async def get_subject_status(call: XrpcCall) -> Answer:
    """com.atproto.admin.getSubjectStatus: a blob wins over a record, that over an account"""
    did, uri, blob = (call.params.get(name) for name in ("did", "uri", "blob"))
    if blob is not None:
        if did is None:
            raise invalid_request("Must provide a did to request blob state")
        return await _blob_status(call.ctx, did, Cid.parse(blob))
    if uri is not None:
        return await _record_status(call.ctx, _record_uri(uri))
    if did is not None:
        return _repo_status(call.ctx, did)
    raise invalid_request("No provided subject")


@methods.method("com.atproto.admin.updateSubjectStatus", auth=moderator)
async def update_subject_status(call: XrpcCall) -> Answer:
    """com.atproto.admin.updateSubjectStatus"""
    ctx, body = call.ctx, call.body
    subject: dict[str, Any] = body["subject"]
    takedown: dict[str, Any] | None = body.get("takedown")
    kept: str | None = None
    match subject.get("$type"):
        case kind if kind == _REPO:
            kept = await _update_repo(ctx, Did(subject["did"]), takedown, body.get("deactivated"))
        case kind if kind == _RECORD:
            uri = _record_uri(subject["uri"])
            if takedown is not None:
                kept = await set_record_takedown(ctx, uri, _takedown_ref(takedown))
        case kind if kind == _BLOB:
            did, cid = subject["did"], Cid.parse(subject["cid"])
            if takedown is not None:
                kept = await set_blob_takedown(ctx, did, cid, _takedown_ref(takedown))
        case kind:
            raise invalid_request(f"Invalid subject ({kind})")
    if takedown is None:
        return {"subject": subject}
    # The requested reference, unless an earlier takedown has given another one.
    asked_for = takedown.get("ref")
    ref = {"ref": kept} if asked_for and kept is not None else {}
    return {"subject": subject, "takedown": {**takedown, **ref}}


async def _update_repo(
    ctx: AppContext,
    did: Did,
    takedown: dict[str, Any] | None,
    deactivated: dict[str, Any] | None,
) -> str | None:
    takes_down = takedown is not None and takedown["applied"]
    if takes_down and deactivated is not None and not deactivated["applied"]:
        raise invalid_request("Cannot activate and takedown an account at the same time")
    if takedown is None and deactivated is None:
        await ctx.sequencer.append(states.account_event(ctx, did))
    kept = None
    if takedown is not None:
        if takes_down:
            kept = await states.takedown(ctx, did, ref=takedown.get("ref"))
        else:
            await states.untakedown(ctx, did)
    if deactivated is not None:
        if deactivated["applied"]:
            await states.deactivate(ctx, did)
        else:
            await states.activate(ctx, did)
    return kept


def _repo_status(ctx: AppContext, did: str) -> dict[str, Any]:
    account = ctx.accounts.find_account(did, include_inactive=True)
    if account is None:
        raise _not_found()
    return {
        "subject": {"$type": _REPO, "did": account.did},
        "takedown": _takedown_json(account.takedown_ref),
        "deactivated": {"applied": account.deactivated_at is not None},
    }


async def _record_status(ctx: AppContext, uri: AtUri) -> dict[str, Any]:
    def find(actor: ActorStoreReader) -> dict[str, Any]:
        record = actor.record.get(uri.collection or "", uri.rkey or "", include_takendown=True)
        return {
            "subject": {"$type": _RECORD, "uri": record.uri, "cid": str(record.cid)},
            "takedown": _takedown_json(record.takedown_ref),
        }

    try:
        return await ctx.actor_store.read(uri.authority, find)
    except RepoNotFound as exc:
        raise invalid_request("Repo not found", "NotFound") from exc
    except RecordNotFound as exc:
        raise _not_found() from exc


async def _blob_status(ctx: AppContext, did: str, cid: Cid) -> dict[str, Any]:
    def find(actor: ActorStoreReader) -> dict[str, Any]:
        blob = actor.blob.find(cid)
        if blob is None:
            raise BlobNotFound(cid)
        return {
            "subject": {"$type": _BLOB, "did": did, "cid": str(cid)},
            "takedown": _takedown_json(blob.takedown_ref),
        }

    try:
        return await ctx.actor_store.read(did, find)
    except RepoNotFound as exc:
        raise invalid_request("Repo not found", "NotFound") from exc
    except BlobNotFound as exc:
        raise _not_found() from exc


def _record_uri(text: str) -> AtUri:
    """Parse the URI of one record, with a DID, as moderators refer to records."""
    uri = parse_at_uri(text)
    parse_did(uri.authority)
    if uri.collection is None or uri.rkey is None:
        raise invalid_request(f"Not the URI of a record: {text[:200]}")
    return uri


def _takedown_ref(takedown: dict[str, Any]) -> str | None:
    return (takedown.get("ref") or now_iso()) if takedown["applied"] else None


def _takedown_json(ref: str | None) -> dict[str, Any]:
    return {"applied": False} if ref is None else {"applied": True, "ref": ref}


def _not_found() -> XrpcError:
    return invalid_request("Subject not found", "NotFound")
