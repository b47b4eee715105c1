"""com.atproto.server: password resets."""

from __future__ import annotations

import structlog

from pds.accounts.email_tokens import EmailTokenPurpose
from pds.accounts.errors import NoEmailAddress, UnknownAccount
from pds.context import AppContext
from pds.lifecycle.acting import get_acting_account
from pds.lifecycle.mailed_tokens import send_token
from pds.mail.message import InvalidMail
from pds.mail.transport import MailNotSent
from pds.rate_limits.limit import DAY_S, HOUR_S, MINUTE_S, by_ip
from pds.rate_limits.method_limits import calls
from pds.xrpc.call import Answer, XrpcCall
from pds.xrpc.methods import XrpcMethods
from repo.syntax import Did

methods = XrpcMethods()

_log = structlog.get_logger(__name__)


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
async def reset_password(call: XrpcCall) -> Answer:
    """com.atproto.server.resetPassword"""
    ctx, body = call.ctx, call.body
    did = await ctx.accounts.passwords.reset(body["token"], body["password"], asker=call.asker)
    await _tell_owner(ctx, did)
    return None


async def _tell_owner(ctx: AppContext, did: Did) -> None:
    """Mail the account about its new password, and the app passwords that still work."""
    account = get_acting_account(ctx, did, absent=UnknownAccount())
    if account.email is None:
        return
    app_passwords = ctx.accounts.app_passwords.list(did)
    try:
        await ctx.mailer.send_password_changed(account, account.email, app_passwords)
    except (InvalidMail, MailNotSent) as exc:
        # The password is set and its token used up, so the request has not failed.
        _log.warning(
            "an account could not be notified of its new password", did=did, reason=str(exc)
        )
