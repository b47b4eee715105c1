"""The logos of clients, served from here: pages load nothing from other servers."""

from __future__ import annotations

import hmac
from typing import Final
from urllib.parse import urlencode

from aiohttp import hdrs, web

from pds.fairness.turns import TooBusy
from pds.oauth.clients.client import Client
from pds.oauth.clients.uris import Uri
from pds.oauth.derived_secrets import derived_secret
from pds.oauth.errors import OAuthError
from pds.oauth.provider import OAuth
from pds.web.pages.rendering import page_headers

LOGO_PATH: Final = "/oauth/logo"
_HEADERS: Final = {
    **page_headers("sandbox"),
    "Cross-Origin-Resource-Policy": "same-origin",
    hdrs.CACHE_CONTROL: "private, max-age=600",
}
_NOT_KEPT: Final = {hdrs.CACHE_CONTROL: "no-store"}


class ClientLogos:
    """Names and serves the pictures of clients whose requests somebody looks at."""

    def __init__(self, oauth: OAuth, jwt_secret: str) -> None:
        self._oauth = oauth
        self._secret = derived_secret(jwt_secret, "logos")

    def address_of(self, client: Client) -> str:
        """Return where the logo of a client is on this server; empty if it has none."""
        if client.metadata.logo_uri is None or client.is_loopback:
            return ""
        query = {"client_id": client.client_id, "key": self._key(client.client_id)}
        return f"{LOGO_PATH}?{urlencode(query)}"

    async def answer(self, request: web.Request) -> web.Response:
        """Serve a logo to a page of this server."""
        client_id, key = request.query.get("client_id", ""), request.query.get("key", "")
        # Only our pages have the key, or any stranger could have any picture served from here.
        expected = self._key(client_id).encode()
        if not hmac.compare_digest(expected, key.encode()) or not _is_for_our_page(request):
            return web.Response(status=404, headers=_NOT_KEPT)
        try:
            client = await self._oauth.clients.get(client_id)
            logo = await self._oauth.logos.get(Uri.parse(client.metadata.logo_uri or ""))
        except (OAuthError, ValueError):
            return web.Response(status=404, headers=_NOT_KEPT)
        except TooBusy:
            return web.Response(status=503, headers=_NOT_KEPT)
        return web.Response(body=logo.body, content_type=logo.media_type, headers=_HEADERS)

    def _key(self, client_id: str) -> str:
        return hmac.digest(self._secret, client_id.encode(), "sha256").hex()


def _is_for_our_page(request: web.Request) -> bool:
    """Whether it is loaded as a picture by a page of this server, as far as the browser tells."""
    return (
        request.headers.get("Sec-Fetch-Dest", "image") == "image"
        and request.headers.get("Sec-Fetch-Site", "same-origin") == "same-origin"
    )
