"""Every route of the authorization server."""

from __future__ import annotations

from collections.abc import Iterator

from aiohttp import web

from pds.context import AppContext
from pds.oauth.provider import OAuth
from pds.rate_limits.limiter import RateLimiter
from pds.web.oauth.authorize import authorize_routes
from pds.web.oauth.documents import document_routes
from pds.web.oauth.endpoints import endpoint_routes
from pds.web.oauth.style import style_routes


def oauth_routes(
    ctx: AppContext, oauth: OAuth, limiter: RateLimiter | None
) -> Iterator[web.RouteDef]:
    """Yield documents, endpoints for clients, pages, and what the pages load.

    `limiter` counts sign-ins; None without rate limits.
    """
    yield from document_routes(oauth.issuer)
    yield from endpoint_routes(oauth)
    yield from authorize_routes(ctx, oauth, limiter)
    yield from style_routes(ctx.settings.branding)
