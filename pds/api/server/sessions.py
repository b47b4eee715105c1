"""com.atproto.server: opening, renewing and ending sessions."""

from __future__ import annotations

from typing import Any, Final

from pds.accounts.account import ActorAccount
from pds.accounts.errors import UnknownAccount
from pds.accounts.scopes import STANDARD, SessionScope
from pds.accounts.sessions import Session
from pds.context import AppContext
from pds.lifecycle.acting import get_acting_account
from pds.lifecycle.second_factors import check_second_factor
from pds.rate_limits.limit import DAY_S, MINUTE_S, by_identifier_and_ip
from pds.rate_limits.method_limits import calls
from pds.xrpc.auth import refresh, user
from pds.xrpc.call import Answer, XrpcCall
from pds.xrpc.methods import NOBODY, XrpcMethods
from pds.xrpc.oauth_demands import ANY
from pds.xrpc.responses import find_did_doc
from repo.syntax import Did

ABOUT_EMAIL: Final = frozenset({"email", "emailConfirmed", "emailAuthFactor"})

methods = XrpcMethods()


@methods.method(
    "com.atproto.server.createSession",
    limits=calls(by_identifier_and_ip, {5 * MINUTE_S: 30, DAY_S: 300}),
)
async def create_session(call: XrpcCall) -> Answer:
    """com.atproto.server.createSession"""
    body, accounts = call.body, call.ctx.accounts
    login = await accounts.logins.check(
        body["identifier"],
        body["password"],
        allow_takendown=body.get("allowTakendown", False),
        asker=call.asker,
    )
    await check_second_factor(call.ctx, login, body.get("authFactorToken"), asker=call.asker)
    session = await accounts.sessions.create(login)
    return await _session_output(call.ctx, login.account, session)


@methods.method("com.atproto.server.refreshSession", auth=refresh())
async def refresh_session(call: XrpcCall) -> Answer:
    """com.atproto.server.refreshSession"""
    ctx, did = call.ctx, call.refresh.did
    account = get_acting_account(ctx, did, refuse_takendown=True, absent=_no_user_info(did))
    session = await ctx.accounts.sessions.renew(call.refresh.jti)
    return await _session_output(ctx, account, session)


@methods.method("com.atproto.server.deleteSession", auth=refresh(allow_expired=True))
async def delete_session(call: XrpcCall) -> Answer:
    """com.atproto.server.deleteSession"""
    await call.ctx.accounts.sessions.end(call.refresh.did, call.refresh.jti)
    return None


@methods.method(
    "com.atproto.server.getSession",
    auth=user(STANDARD | {SessionScope.SIGNUP_QUEUED}, oauth=ANY),
    elsewhere=NOBODY,
)
async def get_session(call: XrpcCall) -> Answer:
    """com.atproto.server.getSession"""
    ctx, did = call.ctx, call.user.did
    account = get_acting_account(ctx, did, hide_takendown=True, absent=_no_user_info(did))
    output = {**_account_output(ctx, account), **await _session_did_doc(ctx, did)}
    if not call.user.granted.allows_account("email", "read"):
        return {name: value for name, value in output.items() if name not in ABOUT_EMAIL}
    return output


def _no_user_info(did: Did) -> UnknownAccount:
    return UnknownAccount(f"Could not find user info for account: {did}")


async def _session_output(
    ctx: AppContext, account: ActorAccount, session: Session
) -> dict[str, Any]:
    return {
        "accessJwt": session.access_jwt,
        "refreshJwt": session.refresh_jwt,
        **_account_output(ctx, account),
        **await _session_did_doc(ctx, account.did),
    }


def _account_output(ctx: AppContext, account: ActorAccount) -> dict[str, Any]:
    output: dict[str, Any] = {
        "did": account.did,
        "handle": account.shown_handle,
        "emailConfirmed": account.email_confirmed_at is not None,
        "active": account.active,
    }
    if account.email is not None:
        output["email"] = account.email
    mails_codes = ctx.second_factors.mailed.find_state(account.did)
    if mails_codes is not None:
        output["emailAuthFactor"] = mails_codes
    if not account.active:
        output["status"] = account.status
    return output


async def _session_did_doc(ctx: AppContext, did: Did) -> dict[str, Any]:
    if not ctx.settings.identity.enable_did_doc_with_session:
        return {}
    return await find_did_doc(ctx, did)
