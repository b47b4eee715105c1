"""com.atproto.server: invite codes."""

from __future__ import annotations

from pds.accounts.invite_codes import ADMIN
from pds.accounts.scopes import FULL
from pds.xrpc.auth import admin, user
from pds.xrpc.call import Answer, XrpcCall
from pds.xrpc.errors import invalid_request
from pds.xrpc.methods import NOBODY, XrpcMethods
from pds.xrpc.oauth_demands import never

methods = XrpcMethods()


@methods.method("com.atproto.server.createInviteCode", auth=admin)
async def create_invite_code(call: XrpcCall) -> Answer:
    """com.atproto.server.createInviteCode"""
    account = call.body.get("forAccount", ADMIN)
    codes = await call.ctx.accounts.invites.create([account], count=1, uses=call.body["useCount"])
    return {"code": codes[account][0]}


@methods.method("com.atproto.server.createInviteCodes", auth=admin)
async def create_invite_codes(call: XrpcCall) -> Answer:
    """com.atproto.server.createInviteCodes"""
    body = call.body
    codes = await call.ctx.accounts.invites.create(
        body.get("forAccounts", [ADMIN]),
        count=body.get("codeCount", 1),
        uses=body["useCount"],
    )
    return {"codes": [{"account": account, "codes": made} for account, made in codes.items()]}


@methods.method(
    "com.atproto.server.getAccountInviteCodes",
    auth=user(FULL, refuse_takendown=True, oauth=never()),
    elsewhere=NOBODY,
)
async def get_account_invite_codes(call: XrpcCall) -> Answer:
    """com.atproto.server.getAccountInviteCodes"""
    ctx, did, params = call.ctx, call.user.did, call.params
    if ctx.accounts.find_account(did) is None:
        raise invalid_request("Account not found", "NotFound")
    invites = ctx.settings.invites
    if params["createAvailable"] and invites.required and invites.interval_ms is not None:
        await ctx.accounts.invites.create_earned(
            did, interval_ms=invites.interval_ms, epoch_ms=invites.epoch_ms
        )
    codes = ctx.accounts.invites.list_enabled(did, include_used=params["includeUsed"])
    return {"codes": [code.to_json() for code in codes]}
