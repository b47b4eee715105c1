"""What OAuth scopes must allow for a request that goes to another service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pds.proxy.target import choose_service
from pds.xrpc.auth import method_of
from pds.xrpc.oauth_demands import OAuthDemand

if TYPE_CHECKING:
    from aiohttp import web

    from pds.context import AppContext
    from pds.oauth.scopes.granted import GrantedScopes


def rpc_to_target(*more: str) -> OAuthDemand:
    """Demand the `rpc:` scope of the method called, and of `more`, at the service it goes to.

    The check raises `XrpcError` as well if there is no such service.
    """

    def check(ctx: AppContext, request: web.Request, granted: GrantedScopes) -> None:
        nsid = method_of(request)
        reference = choose_service(ctx.settings, nsid, request).reference
        for method in (nsid, *more):
            granted.check_rpc(method, reference)

    also = "".join(f" and for `{method}`" for method in more)
    return OAuthDemand(f"`rpc:` for it{also} at the service", check)


RPC: OAuthDemand = rpc_to_target()
"""The `rpc:` scope of the method called, at the service it goes to."""
