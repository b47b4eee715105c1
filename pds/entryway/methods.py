"""How each method is answered behind an entryway: the one table for it.

Methods that are not in the table are served as without an entryway.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

import orjson

from pds.accounts.errors import UnknownAccount
from pds.api.server.sessions import ABOUT_EMAIL
from pds.entryway.exchange import as_administrator, as_sent, ask, service_token
from pds.entryway.handles import follow_handle
from pds.entryway.signup import create_account
from pds.lifecycle.acting import get_acting_account
from pds.xrpc.auth import method_of
from pds.xrpc.call import Answer, JsonBytes, XrpcCall
from pds.xrpc.errors import invalid_request
from pds.xrpc.methods import XrpcMethod


@dataclass(slots=True, frozen=True)
class Way:
    """How a method is answered behind an entryway."""

    handler: Callable[[XrpcCall], Awaitable[Answer]]
    words: str
    """The description in docs/entryway.md."""
    is_open: bool = False
    """Whether the entryway alone decides who may call."""


async def _as_account(call: XrpcCall) -> Answer:
    """Ask with a service token for the account, whose session has been verified here."""
    return await ask(call, service_token(call.ctx, call.user.did, method_of(call.request)))


async def _as_sent(call: XrpcCall) -> Answer:
    return await ask(call, as_sent(call))


async def _get_session(call: XrpcCall) -> Answer:
    """Ask the entryway, and leave out of its answer what the client may not see."""
    answer = await _as_account(call)
    if call.user.granted.allows_account("email", "read"):
        return answer
    if not isinstance(answer, JsonBytes):
        raise TypeError("the method has an output")
    output = orjson.loads(answer.data)
    return {name: value for name, value in output.items() if name not in ABOUT_EMAIL}


async def _refresh_session(call: XrpcCall) -> Answer:
    did = call.refresh.did
    absent = UnknownAccount(f"Could not find user info for account: {did}")
    get_acting_account(call.ctx, did, refuse_takendown=True, absent=absent)
    return await _as_sent(call)


async def _delete_account(call: XrpcCall) -> Answer:
    """Ask the entryway, which checks password and code, and then deletes the account here."""
    get_acting_account(call.ctx, call.body["did"], absent=UnknownAccount())
    return await _as_sent(call)


async def _update_handle(call: XrpcCall) -> Answer:
    """Ask the entryway, which changes the DID, and then the handle here: see `follow_handle`."""
    did = call.user.did
    token = service_token(call.ctx, did, method_of(call.request))
    return await ask(call, token, json={"handle": call.body["handle"], "did": did})


async def _update_account_email(call: XrpcCall) -> Answer:
    identifier = call.body["account"]
    absent = UnknownAccount(f"Account does not exist: {identifier}")
    get_acting_account(call.ctx, identifier, absent=absent)
    return await _as_administrator(call)


async def _as_administrator(call: XrpcCall) -> Answer:
    return await ask(call, as_administrator(call.ctx))


async def _send_email(call: XrpcCall) -> Answer:
    ctx, did = call.ctx, call.body["recipientDid"]
    get_acting_account(ctx, did, absent=UnknownAccount("Recipient not found"))
    return await ask(call, service_token(ctx, did, method_of(call.request)))


async def _no_invites(_call: XrpcCall) -> Answer:
    raise invalid_request("Account invites are managed by the entryway service")


def _each(namespace: str, names: str, way: Way) -> dict[str, Way]:
    return {f"com.atproto.{namespace}.{name}": way for name in names.split()}


_ACCOUNT: Final = Way(_as_account, "asks the entryway, with a service token of the account")
_SENT: Final = Way(_as_sent, "asks the entryway, with the client's own Authorization header")
_OPEN: Final = Way(_as_sent, _SENT.words, is_open=True)
_ADMIN: Final = Way(_as_administrator, "asks the entryway, as its administrator")
_INVITES: Final = Way(_no_invites, "is refused: the entryway has the invite codes")
_SERVER_OF_ACCOUNT: Final = (
    "createAppPassword listAppPasswords revokeAppPassword getAccountInviteCodes "
    "requestEmailConfirmation confirmEmail requestEmailUpdate updateEmail requestAccountDelete "
    "deactivateAccount"
)

WAYS: Final[Mapping[str, Way]] = {
    **_each("server", _SERVER_OF_ACCOUNT, _ACCOUNT),
    **_each("server", "getSession", Way(_get_session, _ACCOUNT.words)),
    **_each("identity", "requestPlcOperationSignature signPlcOperation", _ACCOUNT),
    **_each("identity", "updateHandle", Way(_update_handle, _ACCOUNT.words)),
    **_each("admin", "sendEmail", Way(_send_email, _ACCOUNT.words)),
    **_each("server", "createSession requestPasswordReset resetPassword activateAccount", _SENT),
    **_each("server", "refreshSession", Way(_refresh_session, _SENT.words)),
    **_each("server", "deleteAccount", Way(_delete_account, _SENT.words)),
    **_each("server", "deleteSession", _OPEN),
    **_each("temp", "checkSignupQueue", _SENT),
    **_each("admin", "updateAccountPassword", _ADMIN),
    **_each("admin", "updateAccountEmail", Way(_update_account_email, _ADMIN.words)),
    **_each("server", "createInviteCode createInviteCodes", _INVITES),
    **_each(
        "admin",
        "getInviteCodes disableInviteCodes disableAccountInvites enableAccountInvites",
        _INVITES,
    ),
    **_each(
        "server",
        "createAccount",
        Way(create_account, "takes the DID, its PLC operation and a reserved signing key"),
    ),
    **_each(
        "admin",
        "updateAccountHandle",
        Way(follow_handle, "takes the handle that the DID document names already"),
    ),
}


def behind_entryway(methods: Iterable[XrpcMethod]) -> Iterator[XrpcMethod]:
    """Return the same methods, with the handlers they have behind an entryway."""
    for method in methods:
        way = WAYS.get(method.nsid)
        if way is None:
            yield method
        else:
            auth = None if way.is_open else method.auth
            yield replace(method, handler=way.handler, auth=auth)
