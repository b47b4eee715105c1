"""Every route of the authorization server."""

from __future__ import annotations

from collections.abc import Iterator

from aiohttp import web

from pds.oauth.provider import OAuth
from pds.web.oauth.authorize import authorize_routes
from pds.web.oauth.documents import document_routes
from pds.web.oauth.endpoints import endpoint_routes
from pds.web.oauth.logos import LOGO_PATH, ClientLogos
from pds.web.pages.rendering import file_handler, page_headers
from pds.web.pages.site import Site


def oauth_routes(site: Site, oauth: OAuth) -> Iterator[web.RouteDef]:
    """Yield documents, endpoints for clients, and pages with the script that one of them loads."""
    yield from document_routes(oauth.issuer)
    yield from endpoint_routes(oauth, site.limiter)
    logos = ClientLogos(oauth, site.ctx.settings.secrets.jwt_secret)
    yield from authorize_routes(site, oauth, logos)
    yield web.get(LOGO_PATH, logos.answer)
    script = file_handler("submit.js", "text/javascript", page_headers(), package="pds.web.oauth")
    yield web.get("/oauth/submit.js", script)
