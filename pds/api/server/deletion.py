"""com.atproto.server: deletion of an account by its owner."""

from __future__ import annotations

from pds.accounts.email_tokens import EmailTokenPurpose
from pds.accounts.errors import UnknownAccount
from pds.accounts.scopes import FULL
from pds.lifecycle.acting import get_acting_account
from pds.lifecycle.mailed_tokens import send_token
from pds.lifecycle.states import delete_account
from pds.rate_limits.limit import DAY_S, HOUR_S, MINUTE_S, by_did, by_ip
from pds.rate_limits.method_limits import calls
from pds.xrpc.auth import user
from pds.xrpc.call import Answer, XrpcCall
from pds.xrpc.methods import NOBODY, XrpcMethods
from pds.xrpc.oauth_demands import never

methods = XrpcMethods()


@methods.method(
    "com.atproto.server.requestAccountDelete",
    auth=user(FULL, refuse_takendown=True, oauth=never()),
    limits=calls(by_did, {HOUR_S: 5, DAY_S: 15}),
    elsewhere=NOBODY,
)
async def request_account_delete(call: XrpcCall) -> Answer:
    """com.atproto.server.requestAccountDelete"""
    account = get_acting_account(call.ctx, call.user.did, absent=UnknownAccount())
    await send_token(call.ctx, account, EmailTokenPurpose.DELETE_ACCOUNT)
    return None


@methods.method("com.atproto.server.deleteAccount", limits=calls(by_ip, {5 * MINUTE_S: 50}))
async def delete_account_method(call: XrpcCall) -> Answer:
    """com.atproto.server.deleteAccount: password and token stand for a session"""
    ctx, body = call.ctx, call.body
    did = get_acting_account(ctx, body["did"], absent=UnknownAccount()).did
    await ctx.accounts.logins.check_password(did, body["password"], asker=call.asker)
    ctx.accounts.email_tokens.check(did, EmailTokenPurpose.DELETE_ACCOUNT, body["token"])
    await delete_account(ctx, did)
    return None
