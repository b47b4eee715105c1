"""com.atproto.server: a new password for who has forgotten the old one."""

from __future__ import annotations

from pds.accounts.email_tokens import EmailTokenPurpose
from pds.accounts.errors import NoEmailAddress
from pds.mailed_tokens import send_token
from pds.xrpc.call import Answer, XrpcCall
from pds.xrpc.methods import XrpcMethods

methods = XrpcMethods()


@methods.method("com.atproto.server.requestPasswordReset")
async def request_password_reset(call: XrpcCall) -> Answer:
    """com.atproto.server.requestPasswordReset"""
    ctx = call.ctx
    account = ctx.accounts.find_account_by_email(call.body["email"], include_inactive=True)
    if account is None:
        raise NoEmailAddress
    await send_token(ctx, account, EmailTokenPurpose.RESET_PASSWORD)
    return None


@methods.method("com.atproto.server.resetPassword")
async def reset_password(call: XrpcCall) -> Answer:
    """com.atproto.server.resetPassword"""
    token, password = call.body["token"], call.body["password"]
    await call.ctx.accounts.reset_password(token, password, asker=call.asker)
    return None
