"""com.atproto.server.createAccount behind an entryway: the account comes with its DID.

The entryway reserves a signing key here, signs a PLC operation that names it and this server, and
sends the operation with the DID. It keeps the login: the account here has neither address nor
password. Only the entryway can have made that signature, so no other proof is required.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from identity.did_document import ATPROTO_KEY, ATPROTO_PDS, PDS_TYPE
from identity.plc import PlcError
from identity.plc_data import InvalidPlcOperation, PlcData
from identity.plc_limits import check_limits
from identity.plc_operation import PlcOperation
from pds.accounts.accounts import NewAccount
from pds.accounts.availability import check_did_free, check_handle_free
from pds.accounts.errors import InvalidHandle
from pds.config.addresses import is_same_server
from pds.lifecycle.changes import MOVED, journaled
from pds.lifecycle.signup import birth_events
from pds.pending.journal import Entry
from pds.xrpc.errors import XrpcError, invalid_request
from pds.xrpc.responses import find_did_doc
from repo.syntax import Did, Handle, InvalidSyntax, normalize_handle

if TYPE_CHECKING:
    from pds.accounts.sessions import Session
    from pds.context import AppContext
    from pds.xrpc.call import Answer, XrpcCall
    from repo.keys import PrivateKey


@dataclass(slots=True, frozen=True)
class _Arrival:
    """An account that the entryway brings, after every check of its own."""

    did: Did
    handle: Handle
    operation: PlcOperation
    key: PrivateKey
    """Reserved for the account, and named by the operation."""


async def create_account(call: XrpcCall) -> Answer:
    """com.atproto.server.createAccount, from the entryway."""
    ctx = call.ctx
    arrival = _check(ctx, call.body)
    session = await _create(ctx, arrival)
    return {
        "handle": arrival.handle,
        "did": session.did,
        "accessJwt": session.access_jwt,
        "refreshJwt": session.refresh_jwt,
        **await find_did_doc(ctx, session.did),
    }


def _check(ctx: AppContext, body: dict[str, Any]) -> _Arrival:
    try:
        handle = normalize_handle(body["handle"])
    except InvalidSyntax as exc:
        raise InvalidHandle(str(exc)) from exc
    if body.get("did") is None or body.get("plcOp") is None:
        raise invalid_request("non-entryway pds requires bringing a DID and plcOp")
    did = Did(body["did"])
    operation, data = _check_operation(ctx, did, body["plcOp"])
    # Before its key is looked up: when a call is repeated, the account has the key already.
    check_did_free(ctx.accounts.store, did)
    key = _reserved_key(ctx, did, data)
    if _handle_of(data) != handle:
        raise _incompatible("provided handle does not match DID document handle")
    service = data.services.get(ATPROTO_PDS)
    if (
        service is None
        or service.type != PDS_TYPE
        or not is_same_server(service.endpoint, ctx.settings.public_url)
    ):
        raise _incompatible("DID document pds endpoint does not match service endpoint")
    # Before anything is sent to the directory.
    check_handle_free(ctx.accounts.store, handle)
    return _Arrival(did, handle, operation, key)


def _check_operation(ctx: AppContext, did: Did, value: object) -> tuple[PlcOperation, PlcData]:
    """Return the operation and what it sets, if the entryway's key has signed it."""
    invalid, rotation_key = _incompatible("invalid plc operation"), ctx.did_rotation_key
    try:
        operation = PlcOperation.parse(value)
    except InvalidPlcOperation as exc:
        raise invalid from exc
    data = operation.data
    if operation.type != "plc_operation" or data is None:
        raise invalid
    if rotation_key not in data.rotation_keys:
        raise _incompatible("PLC DID does not include service rotation key")
    try:
        check_limits(operation)
    except InvalidPlcOperation as exc:
        raise invalid from exc
    if operation.find_signer([rotation_key]) is None:
        raise invalid
    if operation.prev is None and operation.did() != did:
        raise invalid
    return operation, data


def _reserved_key(ctx: AppContext, did: Did, data: PlcData) -> PrivateKey:
    keys, named = ctx.actor_store.keys, data.verification_methods.get(ATPROTO_KEY)
    # By its own name first, since anyone may have reserved another one for the DID.
    key = (named and keys.find_reserved(named)) or keys.find_reserved(did)
    if not key:
        raise invalid_request("reserved signing key does not exist")
    if key.did_key != named:
        raise _incompatible("DID document signing key does not match service signing key")
    return key


def _handle_of(data: PlcData) -> str | None:
    names = (alias for alias in data.also_known_as if alias.startswith("at://"))
    return next((name.removeprefix("at://") for name in names), None)


async def _create(ctx: AppContext, arrival: _Arrival) -> Session:
    did, key = arrival.did, arrival.key
    # The DID is the entryway's: a failure here leaves it alone, and the call may be repeated.
    async with journaled(ctx, Entry("create", did, MOVED)):
        commit = await ctx.actor_store.create(did, key, lambda actor: actor.create_repo())
        await _send(ctx, did, arrival.operation)
        session = await ctx.accounts.create_account(
            NewAccount(did=did, handle=arrival.handle, cid=commit.cid, rev=commit.rev)
        )
    for name in (key.did_key, did):
        ctx.actor_store.keys.release(name)
    await ctx.sequencer.append(*birth_events(arrival.handle, commit))
    await ctx.did_resolver.refresh(did)
    return session


async def _send(ctx: AppContext, did: Did, operation: PlcOperation) -> None:
    try:
        await ctx.plc.send(did, operation)
    except PlcError as exc:
        # It is there already if an earlier attempt failed after sending it.
        if exc.is_failure or not await _is_there(ctx, did, operation):
            raise


async def _is_there(ctx: AppContext, did: Did, operation: PlcOperation) -> bool:
    try:
        return await ctx.plc.last_op(did) == operation
    except PlcError:
        return False


def _incompatible(message: str) -> XrpcError:
    return invalid_request(message, "IncompatibleDidDoc")
