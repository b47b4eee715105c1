"""com.atproto.server: invite codes."""

from __future__ import annotations

from pds.accounts.invites import ADMIN
from pds.xrpc.auth import admin
from pds.xrpc.call import Answer, XrpcCall
from pds.xrpc.methods import XrpcMethods

methods = XrpcMethods()


@methods.method("com.atproto.server.createInviteCode", auth=admin)
async def create_invite_code(call: XrpcCall) -> Answer:
    """com.atproto.server.createInviteCode"""
    account = call.body.get("forAccount", ADMIN)
    codes = await call.ctx.accounts.create_invite_codes(
        [account], count=1, uses=call.body["useCount"]
    )
    return {"code": codes[account][0]}


@methods.method("com.atproto.server.createInviteCodes", auth=admin)
async def create_invite_codes(call: XrpcCall) -> Answer:
    """com.atproto.server.createInviteCodes"""
    body = call.body
    codes = await call.ctx.accounts.create_invite_codes(
        body.get("forAccounts", [ADMIN]),
        count=body.get("codeCount", 1),
        uses=body["useCount"],
    )
    return {"codes": [{"account": account, "codes": made} for account, made in codes.items()]}
