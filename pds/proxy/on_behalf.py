"""Service tokens for calls on behalf of an account: the only way to get one, and who may."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pds.accounts.errors import AccountTakendown
from pds.accounts.scopes import SessionScope
from pds.xrpc.errors import auth_required

if TYPE_CHECKING:
    from pds.xrpc.call import XrpcCall


def token_for(call: XrpcCall, aud: str, lxm: str, *, is_appeal: bool = False) -> str:
    """Return a token with which the caller uses method `lxm` of the service `aud`, a bare DID.

    A taken-down account calls no service, not even with an older session; only what `is_appeal` it
    may send, with a session opened for that. An app password does not make its user a moderator of
    this server. Raises `XrpcError` 401, `AccountTakendown`, and what `ActorStore.key` raises.
    """
    ctx, user = call.ctx, call.user
    if not user.is_full and ctx.service_auth.makes_moderator(user.did, aud):
        raise auth_required("Bad token scope", "InvalidToken")
    account = ctx.accounts.find_account(user.did, include_inactive=True)
    if account is not None and account.takedown_ref is not None:
        appeals = is_appeal and user.scope is SessionScope.TAKENDOWN
        if not appeals:
            raise AccountTakendown
    return ctx.service_tokens.get(user.did, aud, lxm)
