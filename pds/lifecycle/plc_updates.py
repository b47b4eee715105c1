"""PLC operations with which users change their DIDs, signed with the server's rotation key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from identity.did_document import ATPROTO_KEY, ATPROTO_PDS, PDS_TYPE
from identity.plc_data import InvalidPlcOperation, PlcData
from identity.plc_operation import PlcOperation
from pds.accounts.email_tokens import EmailTokenPurpose
from pds.config.addresses import is_same_server
from pds.lifecycle.changes import journaled
from pds.lifecycle.errors import PlcOperationRefused
from pds.pending.journal import Entry
from repo.syntax import Did
from sequencer.events import IdentityEvent

if TYPE_CHECKING:
    from pds.accounts.account import ActorAccount
    from pds.context import AppContext

_FIELDS: Final = ("rotationKeys", "alsoKnownAs", "verificationMethods", "services")
_INVALID: Final = "Invalid operation"


async def sign_operation(
    ctx: AppContext, did: Did, token: str, changes: Mapping[str, Any]
) -> PlcOperation:
    """Sign an operation that sets the fields in `changes`.

    `token` is one that was sent by mail. Raises `InvalidToken`, `ExpiredToken`,
    `InvalidPlcOperation` and `PlcError`; the token remains valid then.
    """
    purpose = EmailTokenPurpose.PLC_OPERATION
    ctx.accounts.email_tokens.check(did, purpose, token)
    operation = await ctx.plc.sign_update(
        did, lambda data: _changed(data, changes), key=ctx.rotation_key
    )
    await ctx.accounts.email_tokens.use(did, purpose, token)
    return operation


async def submit_operation(ctx: AppContext, account: ActorAccount, value: object) -> None:
    """Send an operation of the account to the directory, and emit the identity event.

    Raises `PlcOperationRefused` for an operation that would detach the DID from its account here,
    and `PlcError`.
    """
    operation, data = _parse_update(value)
    _check_keeps_account(ctx, account, data)
    did = account.did
    async with journaled(ctx, Entry("identity", did, str(operation.cid))):
        await ctx.plc.send(did, operation)
        await ctx.did_resolver.refresh(did)
        await ctx.sequencer.append(IdentityEvent(did))


def ensure_plc(did: Did) -> None:
    """Raise `PlcOperationRefused` for a DID that has no PLC operations."""
    if not did.startswith("did:plc:"):
        raise PlcOperationRefused(f"PLC operations are for did:plc accounts only: {did}")


def _changed(data: PlcData, changes: Mapping[str, Any]) -> PlcData:
    given = {name: changes[name] for name in _FIELDS if name in changes}
    return PlcData.from_json({**data.to_json(), **given})


def _parse_update(value: object) -> tuple[PlcOperation, PlcData]:
    try:
        operation = PlcOperation.parse(value)
    except InvalidPlcOperation as exc:
        raise PlcOperationRefused(_INVALID) from exc
    if operation.type != "plc_operation" or operation.data is None:
        raise PlcOperationRefused(_INVALID)
    return operation, operation.data


def _check_keeps_account(ctx: AppContext, account: ActorAccount, data: PlcData) -> None:
    service = data.services.get(ATPROTO_PDS)
    key = ctx.actor_store.key(account.did).did_key
    wrong = {
        "Rotation keys do not include server's rotation key": (
            ctx.did_rotation_key not in data.rotation_keys
        ),
        "Incorrect type on atproto_pds service": service is None or service.type != PDS_TYPE,
        "Incorrect endpoint on atproto_pds service": (
            service is None or not is_same_server(service.endpoint, ctx.settings.public_url)
        ),
        "Incorrect signing key": data.verification_methods.get(ATPROTO_KEY) != key,
        "Incorrect handle in alsoKnownAs": (
            account.handle is not None and data.also_known_as[:1] != (f"at://{account.handle}",)
        ),
    }
    for message, is_wrong in wrong.items():
        if is_wrong:
            raise PlcOperationRefused(message)
