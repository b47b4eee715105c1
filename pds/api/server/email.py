"""com.atproto.server: confirming an account's email address, and changing it."""

from __future__ import annotations

from typing import Final

from pds.accounts.account import ActorAccount
from pds.accounts.email_rules import check_email
from pds.accounts.email_tokens import EmailTokenPurpose
from pds.accounts.errors import NoEmailAddress, TokenRequired, UnknownAccount
from pds.accounts.scopes import FULL
from pds.context import AppContext
from pds.lifecycle.acting import get_acting_account
from pds.lifecycle.emails import change_email, confirm_address, needs_leave
from pds.lifecycle.mailed_tokens import send_token
from pds.lifecycle.second_factors import FactorChange, tell_owner
from pds.rate_limits.limit import DAY_S, HOUR_S, by_did
from pds.rate_limits.method_limits import calls
from pds.second_factors.errors import AddressNotConfirmed
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
    await confirm_address(call.ctx, call.user.did, body["email"], body["token"])
    return None


@methods.method(
    "com.atproto.server.requestEmailUpdate",
    auth=user(FULL, refuse_takendown=True, oauth=never(_IN_ACCOUNT_PAGES)),
    limits=calls(by_did, {HOUR_S: 5, DAY_S: 15}),
    elsewhere=NOBODY,
)
async def request_email_update(call: XrpcCall) -> Answer:
    """com.atproto.server.requestEmailUpdate: says whether a token is needed, and mails it"""
    account = get_acting_account(call.ctx, call.user.did, absent=UnknownAccount())
    if account.email is None:
        raise NoEmailAddress
    # Turning mailed codes off takes a token, too.
    if not needs_leave(call.ctx, account):
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
    ctx, did, body = call.ctx, call.user.did, call.body
    email, token, wanted = (
        check_email(body["email"]),
        body.get("token"),
        body.get("emailAuthFactor"),
    )
    account = get_acting_account(ctx, did, absent=UnknownAccount())
    if wanted is None or account.email is None:
        await change_email(ctx, account, email, token=token)
    elif email.lower() == account.email:
        await _set_mailed_codes(ctx, account, wanted=wanted, token=token)
    elif wanted:
        raise AddressNotConfirmed
    elif not token:
        raise TokenRequired
    else:
        await change_email(ctx, account, email, token=token)
        await ctx.second_factors.turn_off_mail(did)
        # To the address that had the codes.
        tell_owner(ctx, account, FactorChange.MAIL_OFF)
    return None


async def _set_mailed_codes(
    ctx: AppContext, account: ActorAccount, *, wanted: bool, token: str | None
) -> None:
    """Turn codes by mail on, or off if a mailed token shows that the owner wants it."""
    did = account.did
    if wanted:
        await ctx.second_factors.turn_on_mail(did)
    elif not token:
        raise TokenRequired
    else:
        await ctx.accounts.email_tokens.use(did, EmailTokenPurpose.UPDATE_EMAIL, token)
        await ctx.second_factors.turn_off_mail(did)
    tell_owner(ctx, account, FactorChange.MAIL_ON if wanted else FactorChange.MAIL_OFF)
