"""app.bsky.actor: the preferences of an account, the one part of app.bsky a PDS keeps."""

from __future__ import annotations

from datetime import UTC, datetime

from pds.accounts.scopes import STANDARD, SessionScope
from pds.xrpc.auth import user
from pds.xrpc.call import Answer, XrpcCall
from pds.xrpc.methods import XrpcMethods

methods = XrpcMethods()


@methods.method("app.bsky.actor.getPreferences", auth=user(STANDARD | {SessionScope.TAKENDOWN}))
async def get_preferences(call: XrpcCall) -> Answer:
    """app.bsky.actor.getPreferences"""
    today = datetime.now(UTC).date()
    preferences = await call.ctx.actor_store.read(
        call.user.did,
        lambda actor: actor.pref.get(full_access=call.user.is_full, today=today),
    )
    return {"preferences": preferences}


@methods.method("app.bsky.actor.putPreferences", auth=user(refuse_takendown=True))
async def put_preferences(call: XrpcCall) -> Answer:
    """app.bsky.actor.putPreferences"""
    preferences = call.body["preferences"]
    await call.ctx.actor_store.transact(
        call.user.did,
        lambda actor: actor.pref.put(preferences, full_access=call.user.is_full),
    )
    return None
