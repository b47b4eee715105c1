"""com.atproto.admin: invite codes of the whole server, and who may earn more."""

from __future__ import annotations

from typing import Any

from pds.xrpc.auth import moderator
from pds.xrpc.call import Answer, XrpcCall
from pds.xrpc.errors import invalid_request
from pds.xrpc.methods import XrpcMethods

methods = XrpcMethods()


@methods.method("com.atproto.admin.getInviteCodes", auth=moderator)
async def get_invite_codes(call: XrpcCall) -> Answer:
    """com.atproto.admin.getInviteCodes: newest or most used first"""
    params = call.params
    sort = params["sort"]
    if sort not in ("recent", "usage"):
        raise invalid_request(f"unknown sort method: {sort[:100]}")
    codes, cursor = call.ctx.accounts.invites.page(
        sort, limit=params["limit"], cursor=params.get("cursor")
    )
    output: dict[str, Any] = {"codes": [code.to_json() for code in codes]}
    if cursor is not None:
        output["cursor"] = cursor
    return output


@methods.method("com.atproto.admin.disableInviteCodes", auth=moderator)
async def disable_invite_codes(call: XrpcCall) -> Answer:
    """com.atproto.admin.disableInviteCodes: unknown codes and accounts are ignored"""
    body = call.body
    await call.ctx.accounts.invites.disable(body.get("codes", []), body.get("accounts", []))
    return None


@methods.method("com.atproto.admin.disableAccountInvites", auth=moderator)
async def disable_account_invites(call: XrpcCall) -> Answer:
    """com.atproto.admin.disableAccountInvites: codes that it has already stay as they are"""
    await call.ctx.accounts.invites.set_disabled(call.body["account"], disabled=True)
    return None


@methods.method("com.atproto.admin.enableAccountInvites", auth=moderator)
async def enable_account_invites(call: XrpcCall) -> Answer:
    """com.atproto.admin.enableAccountInvites"""
    await call.ctx.accounts.invites.set_disabled(call.body["account"], disabled=False)
    return None
