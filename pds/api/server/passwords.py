"""com.atproto.server: password resets."""

from __future__ import annotations

from pds.accounts.email_tokens import EmailTokenPurpose
from pds.accounts.errors import NoEmailAddress
from pds.lifecycle.mailed_tokens import send_token
from pds.lifecycle.passwords import reset_password
from pds.rate_limits.limit import DAY_S, HOUR_S, MINUTE_S, by_ip
from pds.rate_limits.method_limits import calls
from pds.xrpc.call import Answer, XrpcCall
from pds.xrpc.methods import XrpcMethods

methods = XrpcMethods()


@methods.method(
    "com.atproto.server.requestPasswordReset", limits=calls(by_ip, {HOUR_S: 15, DAY_S: 50})
)
async def request_password_reset(call: XrpcCall) -> Answer:
    """com.atproto.server.requestPasswordReset"""
    ctx = call.ctx
    account = ctx.accounts.find_account_by_email(call.body["email"], include_inactive=True)
    if account is None:
        raise NoEmailAddress
    await send_token(ctx, account, EmailTokenPurpose.RESET_PASSWORD)
    return None


@methods.method("com.atproto.server.resetPassword", limits=calls(by_ip, {5 * MINUTE_S: 50}))
async def reset_password_method(call: XrpcCall) -> Answer:
    """com.atproto.server.resetPassword"""
    body = call.body
    await reset_password(call.ctx, body["token"], body["password"], asker=call.asker)
    return None
