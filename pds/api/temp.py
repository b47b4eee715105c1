"""com.atproto.temp.checkSignupQueue: this server has no queue, so every account is activated."""

from __future__ import annotations

from pds.accounts.scopes import STANDARD, SessionScope
from pds.xrpc.auth import user
from pds.xrpc.call import Answer, XrpcCall
from pds.xrpc.methods import XrpcMethods
from pds.xrpc.oauth_demands import never

methods = XrpcMethods()


@methods.method(
    "com.atproto.temp.checkSignupQueue",
    auth=user(STANDARD | {SessionScope.SIGNUP_QUEUED}, oauth=never()),
)
async def check_signup_queue(_call: XrpcCall) -> Answer:
    """com.atproto.temp.checkSignupQueue"""
    return {"activated": True}
