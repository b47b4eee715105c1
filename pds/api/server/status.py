"""com.atproto.server: activating and deactivating an account."""

from __future__ import annotations

from pds import lifecycle
from pds.accounts.scopes import FULL, SessionScope
from pds.xrpc.auth import user
from pds.xrpc.call import Answer, XrpcCall
from pds.xrpc.methods import XrpcMethods

methods = XrpcMethods()


@methods.method("com.atproto.server.activateAccount", auth=user(FULL))
async def activate_account(call: XrpcCall) -> Answer:
    """com.atproto.server.activateAccount"""
    await lifecycle.activate(call.ctx, call.user.did)
    return None


@methods.method("com.atproto.server.deactivateAccount", auth=user(FULL | {SessionScope.TAKENDOWN}))
async def deactivate_account(call: XrpcCall) -> Answer:
    """com.atproto.server.deactivateAccount"""
    await lifecycle.deactivate(call.ctx, call.user.did, delete_after=call.body.get("deleteAfter"))
    return None
