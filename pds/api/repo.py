"""com.atproto.repo: reading and writing the records of one repository."""

from __future__ import annotations

from typing import Any, Final

import orjson

from actor_store.errors import RepoNotFound
from actor_store.media_type import media_type_of
from actor_store.reader import ActorStoreReader
from actor_store.writes import MAX_WRITES, UNSET, PreparedWrite
from identity.resolver import DidResolutionError
from pds.availability import get_readable_account
from pds.commits import commit_planned, commit_writes
from pds.context import AppContext
from pds.legacy_profile import PROFILE, upgrade_images
from pds.record_writes import PreparedRecord, prepare_record
from pds.xrpc.auth import check_standing, user, user_or_service
from pds.xrpc.call import Answer, JsonBytes, XrpcCall
from pds.xrpc.errors import XrpcError, auth_required, invalid_request
from pds.xrpc.methods import XrpcMethods
from repo.cid import Cid
from repo.commit import Action, CommitData
from repo.syntax import Did

methods = XrpcMethods()

_APPLY_WRITES: Final = "com.atproto.repo.applyWrites"
_ACTIONS: Final[dict[str, Action]] = {
    f"{_APPLY_WRITES}#create": "create",
    f"{_APPLY_WRITES}#update": "update",
    f"{_APPLY_WRITES}#delete": "delete",
}


@methods.method("com.atproto.repo.createRecord", auth=user())
async def create_record(call: XrpcCall) -> Answer:
    """com.atproto.repo.createRecord"""
    ctx, body, did = call.ctx, call.body, _writer(call)
    collection, rkey = body["collection"], body.get("rkey") or ctx.tid_clock.next()
    record = prepare_record(
        ctx.lexicons,
        collection=collection,
        rkey=rkey,
        json=body["record"],
        validate=body.get("validate"),
    )
    write = record.write("create", collection, rkey)

    def plan(actor: ActorStoreReader) -> list[PreparedWrite]:
        if body.get("validate") is False:
            return [write]
        # A second like of one post replaces the first.
        conflicts = actor.record.backlink_conflicts(collection, record.backlinks)
        return [*(PreparedWrite("delete", collection, rkey) for rkey in conflicts), write]

    swap_commit = _optional_cid(body.get("swapCommit"))
    data = await commit_planned(ctx, did, plan, [write], swap_commit=swap_commit)
    return _write_output(did, collection, rkey, record, data)


@methods.method("com.atproto.repo.putRecord", auth=user())
async def put_record(call: XrpcCall) -> Answer:
    """com.atproto.repo.putRecord: create or replace; the same record again is no commit"""
    ctx, body, did = call.ctx, call.body, _writer(call)
    collection, rkey, json = body["collection"], body["rkey"], body["record"]
    if collection == PROFILE:
        json = await upgrade_images(ctx, did, rkey, json)
    record = prepare_record(
        ctx.lexicons,
        collection=collection,
        rkey=rkey,
        json=json,
        validate=body.get("validate"),
    )
    swap_record = _optional_cid(body["swapRecord"]) if "swapRecord" in body else UNSET

    def plan(actor: ActorStoreReader) -> list[PreparedWrite] | None:
        current = actor.record.find_cid(collection, rkey)
        # As in the reference this comes before the swap checks.
        if current == record.cid:
            return None
        action: Action = "create" if current is None else "update"
        return [record.write(action, collection, rkey, swap_record=swap_record)]

    data = await commit_planned(
        ctx,
        did,
        plan,
        [record.write("update", collection, rkey)],
        swap_commit=_optional_cid(body.get("swapCommit")),
    )
    return _write_output(did, collection, rkey, record, data)


@methods.method("com.atproto.repo.deleteRecord", auth=user())
async def delete_record(call: XrpcCall) -> Answer:
    """com.atproto.repo.deleteRecord: a record that is not there is no error"""
    ctx, body, did = call.ctx, call.body, _writer(call)
    collection, rkey = body["collection"], body["rkey"]
    swap_record = _optional_cid(body["swapRecord"]) if body.get("swapRecord") else UNSET
    write = PreparedWrite("delete", collection, rkey, swap_record=swap_record)

    def plan(actor: ActorStoreReader) -> list[PreparedWrite] | None:
        return None if actor.record.find_cid(collection, rkey) is None else [write]

    data = await commit_planned(ctx, did, plan, swap_commit=_optional_cid(body.get("swapCommit")))
    return {} if data is None else {"commit": _commit_json(data)}


@methods.method("com.atproto.repo.applyWrites", auth=user())
async def apply_writes(call: XrpcCall) -> Answer:
    """com.atproto.repo.applyWrites: several writes, one commit"""
    ctx, body, did = call.ctx, call.body, _writer(call)
    if len(body["writes"]) > MAX_WRITES:
        raise invalid_request(f"Too many writes. Max: {MAX_WRITES}")
    prepared = [
        _prepare_write(ctx, did, write, body.get("validate"), index)
        for index, write in enumerate(body["writes"])
    ]
    writes = [write for write, _ in prepared]
    swap_commit = _optional_cid(body.get("swapCommit"))
    data = await commit_writes(ctx, did, writes, swap_commit=swap_commit)
    return {"commit": _commit_json(data), "results": [result for _, result in prepared]}


@methods.method("com.atproto.repo.getRecord")
async def get_record(call: XrpcCall) -> Answer:
    """com.atproto.repo.getRecord"""
    ctx, params = call.ctx, call.params
    account = ctx.accounts.find_account(params["repo"])
    if account is None:
        raise invalid_request("Could not locate record")
    did, collection, rkey = account.did, params["collection"], params["rkey"]
    wanted: str | None = params.get("cid")

    def view(actor: ActorStoreReader) -> bytes | None:
        ref = actor.record.find_ref(collection, rkey)
        if ref is None or (wanted is not None and str(ref.cid) != wanted):
            return None
        return ctx.record_json.view(actor, ref)

    json = await ctx.actor_store.read(did, view)
    if json is None:
        uri = f"at://{did}/{collection}/{rkey}"
        raise invalid_request(f"Could not locate record: {uri}", "RecordNotFound")
    return JsonBytes(json)


@methods.method("com.atproto.repo.listRecords")
async def list_records(call: XrpcCall) -> Answer:
    """com.atproto.repo.listRecords: newest record keys first, unless `reverse`"""
    ctx, params = call.ctx, call.params
    account = ctx.accounts.find_account(params["repo"])
    if account is None:
        raise invalid_request(f"Could not find repo: {params['repo']}")
    did, collection = account.did, params["collection"]

    def views(actor: ActorStoreReader) -> tuple[bytes, str | None]:
        refs = actor.record.list_refs(
            collection,
            limit=params["limit"],
            cursor=params.get("cursor"),
            reverse=params.get("reverse", False),
        )
        page = b",".join([ctx.record_json.view(actor, ref) for ref in refs])
        return page, refs[-1].rkey if refs else None

    page, cursor = await ctx.actor_store.read(did, views)
    rest = b"" if cursor is None else b',"cursor":' + orjson.dumps(cursor)
    return JsonBytes(b'{"records":[%b]%b}' % (page, rest))


@methods.method("com.atproto.repo.describeRepo")
async def describe_repo(call: XrpcCall) -> Answer:
    """com.atproto.repo.describeRepo"""
    ctx = call.ctx
    account = get_readable_account(call, call.params["repo"])
    try:
        document = await ctx.did_resolver.resolve(account.did)
    except DidResolutionError as exc:
        raise invalid_request(f"Could not resolve DID: {exc}") from exc
    collections = await ctx.actor_store.peek(account.did, lambda actor: actor.record.collections())
    handle = account.shown_handle
    return {
        "handle": handle,
        "did": account.did,
        "didDoc": document.raw,
        "collections": collections,
        "handleIsCorrect": document.handle == handle,
    }


@methods.method("com.atproto.repo.uploadBlob", auth=user_or_service())
async def upload_blob(call: XrpcCall) -> Answer:
    """com.atproto.repo.uploadBlob: kept for a record that is about to refer to it"""
    ctx, request = call.ctx, call.request
    did = call.service.issuer if call.service else call.user.did
    if not ctx.actor_store.exists(did):
        # Service tokens are anybody's: look before their bytes come in.
        raise RepoNotFound(did)
    limit = ctx.settings.service.blob_upload_limit_bytes
    if (request.content_length or 0) > limit:
        raise XrpcError(413, message="request entity too large")
    temp = await ctx.blob_store.put_temp(did, request.content.iter_any(), max_bytes=limit)
    mime_type = media_type_of(temp.head, request.headers["Content-Type"])
    await ctx.actor_store.keep_upload(did, temp, mime_type=mime_type)
    return {
        "blob": {
            "$type": "blob",
            "ref": {"$link": str(temp.cid)},
            "mimeType": mime_type,
            "size": temp.size,
        }
    }


def _writer(call: XrpcCall) -> Did:
    """The account that the request writes to, which must be the caller's and in good standing."""
    identifier, did = call.body["repo"], call.user.did
    account = check_standing(call.ctx, identifier, refuse_takendown=True, refuse_deactivated=True)
    if account.did != did:
        raise auth_required("Authentication Required")
    return did


def _prepare_write(
    ctx: AppContext, did: Did, write: dict[str, Any], validate: bool | None, index: int
) -> tuple[PreparedWrite, dict[str, Any]]:
    """One entry of applyWrites, and the result that it has once the commit succeeds."""
    action: Action = _ACTIONS[write["$type"]]
    collection = write["collection"]
    if action == "delete":
        return PreparedWrite("delete", collection, write["rkey"]), {
            "$type": f"{_APPLY_WRITES}#deleteResult"
        }
    rkey = write.get("rkey") or ctx.tid_clock.next()
    record = prepare_record(
        ctx.lexicons,
        collection=collection,
        rkey=rkey,
        json=write["value"],
        validate=validate,
        path=f"$.writes[{index}].value",
        record_path=f"$.writes[{index}].record",
    )
    result = {
        "$type": f"{_APPLY_WRITES}#{action}Result",
        **_record_result(did, collection, rkey, record),
    }
    return record.write(action, collection, rkey), result


def _record_result(did: str, collection: str, rkey: str, record: PreparedRecord) -> dict[str, Any]:
    result = {"uri": f"at://{did}/{collection}/{rkey}", "cid": str(record.cid)}
    if record.validation_status is not None:
        result["validationStatus"] = record.validation_status
    return result


def _write_output(
    did: str, collection: str, rkey: str, record: PreparedRecord, data: CommitData | None
) -> dict[str, Any]:
    output = _record_result(did, collection, rkey, record)
    if data is not None:
        output["commit"] = _commit_json(data)
    return output


def _commit_json(data: CommitData) -> dict[str, str]:
    return {"cid": str(data.cid), "rev": data.rev}


def _optional_cid(text: str | None) -> Cid | None:
    return None if text is None else Cid.parse(text)
