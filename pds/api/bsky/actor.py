"""app.bsky.actor: the preferences of an account, the one part of app.bsky a PDS keeps.

A client that names another AppView in `atproto-proxy` means the preferences kept there.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from pds.accounts.scopes import STANDARD, SessionScope
from pds.proxy.oauth import RPC
from pds.proxy.target import NamedService, is_appview, named_service
from pds.proxy.unserved import pass_on_as_user
from pds.repos.preferences import put_preferences as put
from pds.xrpc.accept_encoding import RELAYED, check_acceptable
from pds.xrpc.auth import user, user_or_moderator
from pds.xrpc.call import Answer, XrpcCall
from pds.xrpc.errors import invalid_request
from pds.xrpc.methods import XrpcMethods
from repo.syntax import is_did

methods = XrpcMethods()

GET_PREFERENCES: Final = "app.bsky.actor.getPreferences"
PUT_PREFERENCES: Final = "app.bsky.actor.putPreferences"


@methods.method(
    GET_PREFERENCES, auth=user_or_moderator(STANDARD | {SessionScope.TAKENDOWN}, oauth=RPC)
)
async def get_preferences(call: XrpcCall) -> Answer:
    """app.bsky.actor.getPreferences; the moderation service names the account with `did`"""
    elsewhere = _other_appview(call)
    if call.service is not None:
        if elsewhere is not None:
            raise invalid_request("Moderator requests cannot be proxied to other app views")
        did, full_access = _named_account(call), True
    elif elsewhere is not None:
        check_acceptable(call.request, RELAYED)
        return await pass_on_as_user(call, GET_PREFERENCES, elsewhere)
    else:
        did, full_access = call.user.did, call.user.is_full
    today = datetime.now(UTC).date()
    preferences = await call.ctx.actor_store.read(
        did, lambda actor: actor.pref.get(full_access=full_access, today=today)
    )
    return {"preferences": preferences}


@methods.method(PUT_PREFERENCES, auth=user(refuse_takendown=True, oauth=RPC))
async def put_preferences(call: XrpcCall) -> Answer:
    """app.bsky.actor.putPreferences"""
    elsewhere = _other_appview(call)
    if elsewhere is not None:
        return await pass_on_as_user(call, PUT_PREFERENCES, elsewhere, json=call.body)
    user = call.user
    await put(call.ctx, user.did, call.body["preferences"], full_access=user.is_full)
    return None


def _other_appview(call: XrpcCall) -> NamedService | None:
    named = named_service(call.request)
    return None if named is None or is_appview(call.ctx.settings, named) else named


def _named_account(call: XrpcCall) -> str:
    # The Lexicon has no such parameter, but moderation services use it.
    did = call.request.query.get("did", "")
    if not is_did(did):
        raise invalid_request("Invalid or missing did parameter")
    return did
