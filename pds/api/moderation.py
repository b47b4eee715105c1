"""com.atproto.moderation: reports, which are proxied to the moderation service."""

from __future__ import annotations

from pds.accounts.scopes import STANDARD, SessionScope
from pds.proxy.answers import call_service, json_object
from pds.proxy.forwarding import path_of
from pds.proxy.oauth import RPC
from pds.proxy.on_behalf import token_for
from pds.proxy.target import CREATE_REPORT, choose_service, locate
from pds.xrpc.auth import user
from pds.xrpc.call import Answer, XrpcCall
from pds.xrpc.methods import XrpcMethods

methods = XrpcMethods()


@methods.method(CREATE_REPORT, auth=user(STANDARD | {SessionScope.TAKENDOWN}, oauth=RPC))
async def create_report(call: XrpcCall) -> Answer:
    """com.atproto.moderation.createReport"""
    ctx = call.ctx
    service = choose_service(ctx.settings, CREATE_REPORT, call.request)
    target = await locate(ctx.did_resolver, service)
    token = token_for(call, target.did, CREATE_REPORT, is_appeal=True)
    path = path_of(call.request)
    return json_object(await call_service(call, target, path, token=token, json=call.body))
