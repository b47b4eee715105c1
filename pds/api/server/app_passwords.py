"""com.atproto.server: app passwords."""

from __future__ import annotations

from pds.accounts.scopes import FULL
from pds.xrpc.auth import user
from pds.xrpc.call import Answer, XrpcCall
from pds.xrpc.methods import NOBODY, XrpcMethods
from pds.xrpc.oauth_demands import never

methods = XrpcMethods()


@methods.method(
    "com.atproto.server.createAppPassword",
    auth=user(FULL, refuse_takendown=True, oauth=never()),
    elsewhere=NOBODY,
)
async def create_app_password(call: XrpcCall) -> Answer:
    """com.atproto.server.createAppPassword"""
    created, password = await call.ctx.accounts.app_passwords.create(
        call.user.did,
        call.body["name"],
        privileged=call.body.get("privileged", False),
        asker=call.asker,
    )
    return {
        "name": created.name,
        "password": password,
        "createdAt": created.created_at,
        "privileged": created.privileged,
    }


@methods.method("com.atproto.server.listAppPasswords", auth=user(oauth=never()), elsewhere=NOBODY)
async def list_app_passwords(call: XrpcCall) -> Answer:
    """com.atproto.server.listAppPasswords"""
    return {
        "passwords": [
            {"name": one.name, "createdAt": one.created_at, "privileged": one.privileged}
            for one in call.ctx.accounts.app_passwords.list(call.user.did)
        ]
    }


@methods.method("com.atproto.server.revokeAppPassword", auth=user(oauth=never()), elsewhere=NOBODY)
async def revoke_app_password(call: XrpcCall) -> Answer:
    """com.atproto.server.revokeAppPassword"""
    await call.ctx.accounts.app_passwords.revoke(call.user.did, call.body["name"])
    return None
