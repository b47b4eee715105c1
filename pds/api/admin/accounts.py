"""com.atproto.admin: viewing accounts, changing their login details, deleting them."""

from __future__ import annotations

from pds.accounts.email_rules import check_email
from pds.accounts.errors import UnknownAccount
from pds.api.admin.account_view import account_views
from pds.lifecycle.acting import get_acting_account
from pds.lifecycle.handles import update_handle
from pds.lifecycle.states import delete_account
from pds.xrpc.auth import admin, moderator
from pds.xrpc.call import Answer, XrpcCall
from pds.xrpc.errors import invalid_request
from pds.xrpc.methods import XrpcMethods

methods = XrpcMethods()


@methods.method("com.atproto.admin.getAccountInfo", auth=moderator)
async def get_account_info(call: XrpcCall) -> Answer:
    """com.atproto.admin.getAccountInfo"""
    views = account_views(call.ctx, [call.params["did"]])
    if not views:
        raise invalid_request("Account not found", "NotFound")
    return views[0]


@methods.method("com.atproto.admin.getAccountInfos", auth=moderator)
async def get_account_infos(call: XrpcCall) -> Answer:
    """com.atproto.admin.getAccountInfos: DIDs without an account here are left out"""
    return {"infos": account_views(call.ctx, call.params["dids"])}


@methods.method("com.atproto.admin.updateAccountHandle", auth=admin)
async def update_account_handle(call: XrpcCall) -> Answer:
    """com.atproto.admin.updateAccountHandle: reserved labels may be given out"""
    body = call.body
    await update_handle(call.ctx, body["did"], body["handle"], allow_reserved=True)
    return None


@methods.method("com.atproto.admin.updateAccountEmail", auth=admin)
async def update_account_email(call: XrpcCall) -> Answer:
    """com.atproto.admin.updateAccountEmail"""
    accounts, identifier = call.ctx.accounts, call.body["account"]
    absent = UnknownAccount(f"Account does not exist: {identifier}")
    account = get_acting_account(call.ctx, identifier, absent=absent)
    await accounts.emails.update(account.did, check_email(call.body["email"]))
    return None


@methods.method("com.atproto.admin.updateAccountPassword", auth=admin)
async def update_account_password(call: XrpcCall) -> Answer:
    """com.atproto.admin.updateAccountPassword"""
    await call.ctx.accounts.passwords.update(call.body["did"], call.body["password"])
    return None


@methods.method("com.atproto.admin.deleteAccount", auth=admin)
async def delete_account_method(call: XrpcCall) -> Answer:
    """com.atproto.admin.deleteAccount"""
    await delete_account(call.ctx, call.body["did"])
    return None
