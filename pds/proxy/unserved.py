"""Methods that are not served here: they are proxied to a service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pds.accounts.errors import InvalidToken
from pds.monitoring.requests.request_info import note_caller
from pds.proxy.forwarding import pass_on
from pds.proxy.oauth import RPC
from pds.proxy.on_behalf import token_for
from pds.proxy.target import choose_service, locate
from pds.xrpc.auth import user
from pds.xrpc.call import XrpcCall
from pds.xrpc.errors import invalid_request
from pds.xrpc.methods import METHOD_TABLE
from repo.syntax import InvalidSyntax, parse_nsid

if TYPE_CHECKING:
    from aiohttp import web

    from pds.context import AppContext
    from pds.proxy.target import NamedService, ProxyTarget

# Deactivated accounts are allowed: the service decides about them.
_authenticate = user(oauth=RPC)


async def proxy_unknown_method(
    ctx: AppContext, request: web.Request, nsid: str
) -> web.StreamResponse:
    """Answer a request for a method that has no handler here.

    The checks have the reference's order, but a stranger cannot make this server resolve a DID.
    Raises `XrpcError`, the `AccountError`s of a bad token, and what `pass_on` raises.
    """
    try:
        parse_nsid(nsid)
    except InvalidSyntax as exc:
        raise invalid_request("invalid xrpc path") from exc
    if request.method not in ("GET", "HEAD", "POST"):
        raise invalid_request("XRPC requests only supports GET and POST")
    scopes = request.app[METHOD_TABLE].scopes_elsewhere(nsid)
    if not scopes:
        raise _bad_method()
    service = choose_service(ctx.settings, nsid, request)
    call = XrpcCall(ctx, request, {}, await _authenticate(ctx, request), {})
    note_caller(request, call.user.did)
    if not call.user.may_reach(scopes):
        raise _bad_method()
    return await pass_on_as_user(call, nsid, service)


async def pass_on_as_user(
    call: XrpcCall,
    nsid: str,
    service: ProxyTarget | NamedService,
    *,
    json: dict[str, Any] | None = None,
) -> web.StreamResponse:
    """Proxy a request with the caller's service token for `nsid`.

    Raises what `token_for`, `locate` and `pass_on` raise.
    """
    ctx = call.ctx
    target = await locate(ctx.did_resolver, service)
    token = token_for(call, target.did, nsid)
    return await pass_on(ctx, call.request, target, token=token, json=json)


def _bad_method() -> InvalidToken:
    return InvalidToken("Bad token method")
