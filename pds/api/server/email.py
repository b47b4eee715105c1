"""com.atproto.server: confirming an account's email address, and changing it."""

from __future__ import annotations

from typing import Final

from pds.accounts.email_rules import check_email
from pds.accounts.email_tokens import EmailTokenPurpose
from pds.accounts.errors import NoEmailAddress, UnknownAccount
from pds.accounts.scopes import FULL
from pds.lifecycle.acting import get_acting_account
from pds.lifecycle.mailed_tokens import send_token
from pds.rate_limits.limit import DAY_S, HOUR_S, by_did
from pds.rate_limits.method_limits import calls
from pds.xrpc.auth import user
from pds.xrpc.call import Answer, XrpcCall
from pds.xrpc.methods import NOBODY, XrpcMethods
from pds.xrpc.oauth_demands import account, never

_IN_ACCOUNT_PAGES: Final = (
    "Use the account manager interface to update email address associated with an account"
)

methods = XrpcMethods()


@methods.method(
    "com.atproto.server.requestEmailConfirmation",
    auth=user(refuse_takendown=True, oauth=account("email", "manage")),
    limits=calls(by_did, {HOUR_S: 5, DAY_S: 15}),
    elsewhere=NOBODY,
)
async def request_email_confirmation(call: XrpcCall) -> Answer:
    """com.atproto.server.requestEmailConfirmation"""
    account = get_acting_account(call.ctx, call.user.did, absent=UnknownAccount())
    await send_token(call.ctx, account, EmailTokenPurpose.CONFIRM_EMAIL)
    return None


@methods.method(
    "com.atproto.server.confirmEmail",
    auth=user(refuse_takendown=True, oauth=account("email", "manage")),
    elsewhere=NOBODY,
)
async def confirm_email(call: XrpcCall) -> Answer:
    """com.atproto.server.confirmEmail"""
    body = call.body
    await call.ctx.accounts.emails.confirm(call.user.did, body["email"], body["token"])
    return None


@methods.method(
    "com.atproto.server.requestEmailUpdate",
    auth=user(FULL, refuse_takendown=True, oauth=never(_IN_ACCOUNT_PAGES)),
    limits=calls(by_did, {HOUR_S: 5, DAY_S: 15}),
    elsewhere=NOBODY,
)
async def request_email_update(call: XrpcCall) -> Answer:
    """com.atproto.server.requestEmailUpdate: only a confirmed address is asked for leave"""
    account = get_acting_account(call.ctx, call.user.did, absent=UnknownAccount())
    if account.email is None:
        raise NoEmailAddress
    if account.email_confirmed_at is None:
        return {"tokenRequired": False}
    await send_token(call.ctx, account, EmailTokenPurpose.UPDATE_EMAIL)
    return {"tokenRequired": True}


@methods.method(
    "com.atproto.server.updateEmail",
    auth=user(FULL, refuse_takendown=True, oauth=never(_IN_ACCOUNT_PAGES)),
    elsewhere=NOBODY,
)
async def update_email(call: XrpcCall) -> Answer:
    """com.atproto.server.updateEmail"""
    email = check_email(call.body["email"])
    await call.ctx.accounts.emails.change(call.user.did, email, token=call.body.get("token"))
    return None
