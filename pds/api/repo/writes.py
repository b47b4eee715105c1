"""com.atproto.repo: writing the records of one repository."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Final, TypeAlias

from actor_store.reader import ActorStoreReader
from actor_store.writes import MAX_WRITES, UNSET, PreparedWrite
from pds.lifecycle.acting import get_acting_account
from pds.rate_limits.method_limits import CREATE, DELETE, SEVERAL_WRITES, UPDATE
from pds.repos.commits import commit
from pds.repos.legacy_profile import PROFILE, upgrade_images
from pds.repos.records import prepare_write
from pds.xrpc.auth import user
from pds.xrpc.body import WRITE_LIMIT_BYTES
from pds.xrpc.call import Answer, XrpcCall
from pds.xrpc.errors import auth_required, invalid_request
from pds.xrpc.methods import XrpcMethods
from pds.xrpc.oauth_demands import in_handler
from repo.cid import Cid
from repo.commit import Action, CommitData
from repo.syntax import Did

methods = XrpcMethods()

Guard: TypeAlias = Callable[[ActorStoreReader, Sequence[PreparedWrite]], None]
"""Sees the writes of a commit in its transaction, and raises to refuse them."""

_APPLY_WRITES: Final = "com.atproto.repo.applyWrites"
_ACTIONS: Final[dict[str, Action]] = {
    f"{_APPLY_WRITES}#create": "create",
    f"{_APPLY_WRITES}#update": "update",
    f"{_APPLY_WRITES}#delete": "delete",
}


def _allow(_actor: ActorStoreReader, _writes: Sequence[PreparedWrite]) -> None:
    """The guard of a repository whose owner writes."""


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


async def create_in(call: XrpcCall, did: Did, guard: Guard = _allow) -> Answer:
    """Create a record in the repository of `did`, if `guard` lets it pass."""
    ctx, body = call.ctx, call.body
    collection, rkey = body["collection"], body.get("rkey") or ctx.tid_clock.next()
    write = await _prepare(call, "create", collection, rkey)

    def plan(actor: ActorStoreReader) -> list[PreparedWrite]:
        writes = [write]
        if body.get("validate") is not False:
            # A second like of the same post replaces the first.
            conflicts = actor.record.backlink_conflicts(collection, write.backlinks)
            writes = [*(PreparedWrite("delete", collection, rkey) for rkey in conflicts), write]
        guard(actor, writes)
        return writes

    swap_commit = _optional_cid(body.get("swapCommit"))
    data = await commit(ctx, did, plan, blobs=write.blobs, swap_commit=swap_commit)
    return _write_output(did, write, data)


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


async def put_in(call: XrpcCall, did: Did, guard: Guard = _allow) -> Answer:
    """Put a record into the repository of `did`, if `guard` lets it pass."""
    ctx, body = call.ctx, call.body
    collection, rkey = body["collection"], body["rkey"]
    if collection == PROFILE:
        body["record"] = await upgrade_images(ctx, did, rkey, body["record"])
    write = await _prepare(call, "update", collection, rkey)
    swap_record = _optional_cid(body["swapRecord"]) if "swapRecord" in body else UNSET

    def plan(actor: ActorStoreReader) -> list[PreparedWrite] | None:
        current = actor.record.find_cid(collection, rkey)
        # As in the reference, this comes before the swap checks.
        if current == write.cid:
            return None
        action: Action = "create" if current is None else "update"
        writes = [replace(write, action=action, swap_record=swap_record)]
        guard(actor, writes)
        return writes

    swap_commit = _optional_cid(body.get("swapCommit"))
    data = await commit(ctx, did, plan, blobs=write.blobs, swap_commit=swap_commit)
    return _write_output(did, write, data)


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


async def delete_in(call: XrpcCall, did: Did, guard: Guard = _allow) -> Answer:
    """Delete a record of the repository of `did`, if `guard` lets it pass."""
    ctx, body = call.ctx, call.body
    collection, rkey = body["collection"], body["rkey"]
    swap_record = _optional_cid(body["swapRecord"]) if body.get("swapRecord") else UNSET
    write = PreparedWrite("delete", collection, rkey, swap_record=swap_record)

    def plan(actor: ActorStoreReader) -> list[PreparedWrite] | None:
        if actor.record.find_cid(collection, rkey) is None:
            return None
        guard(actor, [write])
        return [write]

    data = await commit(ctx, did, plan, swap_commit=_optional_cid(body.get("swapCommit")))
    return {} if data is None else {"commit": _commit_json(data)}


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


async def apply_in(call: XrpcCall, did: Did, guard: Guard = _allow) -> Answer:
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

    def plan(actor: ActorStoreReader) -> list[PreparedWrite]:
        guard(actor, writes)
        return writes

    data = await commit(ctx, did, plan, blobs=blobs, swap_commit=swap_commit)
    output: dict[str, Any] = {"results": [result for _, result in prepared]}
    if data is not None:
        output["commit"] = _commit_json(data)
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


def _write_output(did: str, write: PreparedWrite, data: CommitData | None) -> dict[str, Any]:
    output = _record_result(did, write)
    if data is not None:
        output["commit"] = _commit_json(data)
    return output


def _commit_json(data: CommitData) -> dict[str, str]:
    return {"cid": str(data.cid), "rev": data.rev}


def _optional_cid(text: str | None) -> Cid | None:
    return None if text is None else Cid.parse(text)
