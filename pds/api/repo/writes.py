"""com.atproto.repo: writing the records of one repository."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from actor_store.writes import MAX_WRITES, UNSET, PreparedWrite
from pds.lifecycle.acting import get_acting_account
from pds.rate_limits.method_limits import CREATE, DELETE, SEVERAL_WRITES, UPDATE
from pds.repos.commits import commit
from pds.repos.legacy_profile import PROFILE, upgrade_images
from pds.repos.plans import Create, Delete, Guard, Put, Writes, allow
from pds.repos.records import prepare_write
from pds.xrpc.auth import user
from pds.xrpc.body import WRITE_LIMIT_BYTES
from pds.xrpc.call import Answer, XrpcCall
from pds.xrpc.errors import auth_required, invalid_request
from pds.xrpc.methods import XrpcMethods
from pds.xrpc.oauth_demands import in_handler
from repo.cid import Cid
from repo.commit import Action, Head
from repo.syntax import Did

methods = XrpcMethods()

_APPLY_WRITES: Final = "com.atproto.repo.applyWrites"
_ACTIONS: Final[dict[str, Action]] = {
    f"{_APPLY_WRITES}#create": "create",
    f"{_APPLY_WRITES}#update": "update",
    f"{_APPLY_WRITES}#delete": "delete",
}


@methods.method(
    "com.atproto.repo.createRecord",
    auth=user(oauth=in_handler("`repo:` to create")),
    limits=CREATE,
    max_body_bytes=WRITE_LIMIT_BYTES,
)
async def create_record(call: XrpcCall) -> Answer:
    """com.atproto.repo.createRecord"""
    did = _writer(call)
    call.user.granted.check_repo("create", call.body["collection"])
    return await create_in(call, did)


async def create_in(call: XrpcCall, did: Did, guard: Guard = allow) -> Answer:
    """Create a record in the repository of `did`, if `guard` lets it pass."""
    ctx, body = call.ctx, call.body
    collection, rkey = body["collection"], body.get("rkey") or ctx.tid_clock.next()
    write = await _prepare(call, "create", collection, rkey)

    # A second like of the same post replaces the first.
    plan = Create(write, replaces_alike=body.get("validate") is not False, guard=guard)
    swap_commit = _optional_cid(body.get("swapCommit"))
    head = await commit(ctx, did, plan, blobs=write.blobs, swap_commit=swap_commit)
    return _write_output(did, write, head)


@methods.method(
    "com.atproto.repo.putRecord",
    auth=user(oauth=in_handler("`repo:` to create and to update")),
    limits=UPDATE,
    max_body_bytes=WRITE_LIMIT_BYTES,
)
async def put_record(call: XrpcCall) -> Answer:
    """com.atproto.repo.putRecord: create or replace; the same record again is no commit"""
    did = _writer(call)
    for action in ("create", "update"):
        call.user.granted.check_repo(action, call.body["collection"])
    return await put_in(call, did)


async def put_in(call: XrpcCall, did: Did, guard: Guard = allow) -> Answer:
    """Put a record into the repository of `did`, if `guard` lets it pass."""
    ctx, body = call.ctx, call.body
    collection, rkey = body["collection"], body["rkey"]
    if collection == PROFILE:
        body["record"] = await upgrade_images(ctx, did, rkey, body["record"])
    write = await _prepare(call, "update", collection, rkey)
    if "swapRecord" in body:
        write = replace(write, swap_record=_optional_cid(body["swapRecord"]))
    plan = Put(write, guard)
    swap_commit = _optional_cid(body.get("swapCommit"))
    head = await commit(ctx, did, plan, blobs=write.blobs, swap_commit=swap_commit)
    return _write_output(did, write, head)


@methods.method(
    "com.atproto.repo.deleteRecord",
    auth=user(oauth=in_handler("`repo:` to delete")),
    limits=DELETE,
)
async def delete_record(call: XrpcCall) -> Answer:
    """com.atproto.repo.deleteRecord: a record that is not there is no error"""
    did = _writer(call)
    call.user.granted.check_repo("delete", call.body["collection"])
    return await delete_in(call, did)


async def delete_in(call: XrpcCall, did: Did, guard: Guard = allow) -> Answer:
    """Delete a record of the repository of `did`, if `guard` lets it pass."""
    ctx, body = call.ctx, call.body
    collection, rkey = body["collection"], body["rkey"]
    swap_record = _optional_cid(body["swapRecord"]) if body.get("swapRecord") else UNSET
    write = PreparedWrite("delete", collection, rkey, swap_record=swap_record)
    swap_commit = _optional_cid(body.get("swapCommit"))
    head = await commit(ctx, did, Delete(write, guard), swap_commit=swap_commit)
    return {} if head is None else {"commit": _commit_json(head)}


@methods.method(
    "com.atproto.repo.applyWrites",
    auth=user(oauth=in_handler("`repo:` for each write")),
    limits=SEVERAL_WRITES,
    max_body_bytes=WRITE_LIMIT_BYTES,
)
async def apply_writes(call: XrpcCall) -> Answer:
    """com.atproto.repo.applyWrites: several writes, one commit; none where nothing changes"""
    did = _writer(call)
    _check_number(call.body["writes"])
    if call.user.uses_oauth:
        for action, collection in _actions_of(call.body["writes"]):
            call.user.granted.check_repo(action, collection)
    return await apply_in(call, did)


async def apply_in(call: XrpcCall, did: Did, guard: Guard = allow) -> Answer:
    """Make several writes to the repository of `did`, if `guard` lets them pass."""
    ctx, body = call.ctx, call.body
    _check_number(body["writes"])
    prepared = await call.digest(
        lambda: [
            _prepare_write(call, did, write, index)
            for index, write in enumerate(body.pop("writes"))
        ]
    )
    writes = [write for write, _ in prepared]
    swap_commit = _optional_cid(body.get("swapCommit"))
    blobs = [blob for write in writes for blob in write.blobs]
    head = await commit(ctx, did, Writes(writes, guard), blobs=blobs, swap_commit=swap_commit)
    output: dict[str, Any] = {"results": [result for _, result in prepared]}
    if head is not None:
        output["commit"] = _commit_json(head)
    return output


def _writer(call: XrpcCall) -> Did:
    """Return the account to write to, which must be the caller's own and in good standing."""
    identifier, did = call.body["repo"], call.user.did
    account = get_acting_account(
        call.ctx, identifier, refuse_takendown=True, refuse_deactivated=True
    )
    if account.did != did:
        raise auth_required("Authentication Required")
    return did


def _check_number(writes: Sequence[object]) -> None:
    if len(writes) > MAX_WRITES:
        raise invalid_request(f"Too many writes. Max: {MAX_WRITES}")


def _actions_of(writes: Iterable[dict[str, Any]]) -> list[tuple[Action, str]]:
    """Return each action of applyWrites on each collection once, creations first."""
    asked = {(_ACTIONS[write["$type"]], write["collection"]): None for write in writes}
    return sorted(asked, key=lambda one: tuple(_ACTIONS.values()).index(one[0]))


async def _prepare(call: XrpcCall, action: Action, collection: str, rkey: str) -> PreparedWrite:
    """Prepare the write of createRecord or putRecord."""
    body = call.body
    return await call.digest(
        lambda: prepare_write(
            call.ctx.lexicons,
            action,
            collection,
            rkey,
            body.pop("record"),
            validate=body.get("validate"),
            is_large=call.large is not None,
        )
    )


def _prepare_write(
    call: XrpcCall, did: Did, write: dict[str, Any], index: int
) -> tuple[PreparedWrite, dict[str, Any]]:
    """Prepare one entry of applyWrites, with its result for when the commit succeeds."""
    ctx = call.ctx
    action: Action = _ACTIONS[write["$type"]]
    collection = write["collection"]
    if action == "delete":
        return PreparedWrite("delete", collection, write["rkey"]), {
            "$type": f"{_APPLY_WRITES}#deleteResult"
        }
    rkey = write.get("rkey") or ctx.tid_clock.next()
    prepared = prepare_write(
        ctx.lexicons,
        action,
        collection,
        rkey,
        write["value"],
        validate=call.body.get("validate"),
        path=f"$.writes[{index}].value",
        record_path=f"$.writes[{index}].record",
        is_large=call.large is not None,
    )
    result = {
        "$type": f"{_APPLY_WRITES}#{action}Result",
        **_record_result(did, prepared),
    }
    return prepared, result


def _record_result(did: str, write: PreparedWrite) -> dict[str, Any]:
    result = {"uri": f"at://{did}/{write.path}", "cid": str(write.cid)}
    if write.validation_status is not None:
        result["validationStatus"] = write.validation_status
    return result


def _write_output(did: str, write: PreparedWrite, head: Head | None) -> dict[str, Any]:
    output = _record_result(did, write)
    if head is not None:
        output["commit"] = _commit_json(head)
    return output


def _commit_json(head: Head) -> dict[str, str]:
    return {"cid": str(head.cid), "rev": head.rev}


def _optional_cid(text: str | None) -> Cid | None:
    return None if text is None else Cid.parse(text)
