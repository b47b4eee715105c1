"""The operator's logo and backgrounds, served from here: browsers ask no other server for them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Final

import structlog
from aiohttp import hdrs, web

from actor_store.media_type import sniff
from database.timestamps import Clock
from identity.http import FetchError, FetchMalformed, FetchStatus, SafeHttp
from pds.config.groups.service import BrandingSettings
from pds.web.pages.rendering import page_headers

LOGO: Final = "/branding/logo"
BACKGROUNDS: Final = {"light": "/branding/background-light", "dark": "/branding/background-dark"}
MAX_BYTES: Final = 2 * 1024 * 1024
FRESH_S: Final = 60 * 60
"""How long a picture is shown without asking for it again."""
FAILED_S: Final = 60

_TYPES: Final = frozenset(("image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"))
_SVG: Final = "image/svg+xml"
_OK: Final = 200
_REDIRECTS: Final = 3
# The operator may have a drawing that strangers may not: as a picture it runs no script, and in a
# tab of its own the sandbox and the policy hold it.
_HEADERS: Final = {
    **page_headers("sandbox", styles=("'unsafe-inline'",)),
    "Cross-Origin-Resource-Policy": "same-origin",
    hdrs.CACHE_CONTROL: "public, max-age=3600",
}
_log = structlog.get_logger(__name__)


def picture_routes(branding: BrandingSettings, http: SafeHttp) -> Iterator[web.RouteDef]:
    """Yield the routes of the pictures that the settings name."""
    named = {
        LOGO: branding.logo_url,
        BACKGROUNDS["light"]: branding.background_light_url,
        BACKGROUNDS["dark"]: branding.background_dark_url,
    }
    for path, url in named.items():
        if url:
            yield web.get(path, Picture(url, http).answer)


def background_rules(branding: BrandingSettings) -> str:
    """Return the rules of the style sheet that put pictures behind the pages."""
    urls = {"light": branding.background_light_url, "dark": branding.background_dark_url}
    rules = (
        f"@media (prefers-color-scheme: {scheme}) {{ :root {{ "
        f'background: Canvas url("{BACKGROUNDS[scheme]}") center / cover fixed; }} '
        # The text stays on a plain ground, whatever is in the picture.
        "body { background: Canvas; min-height: 100vh; } }"
        for scheme, url in urls.items()
        if url
    )
    return "\n".join(rules)


class Picture:
    """A picture on another server, kept in memory."""

    def __init__(self, url: str, http: SafeHttp, *, clock: Clock = time.monotonic) -> None:
        self._url = url
        self._http = http
        self._clock = clock
        self._lock = asyncio.Lock()
        self._ask_at = clock()
        self._kept: tuple[str, bytes] | None = None

    async def answer(self, _request: web.Request) -> web.Response:
        """Serve the picture; the last one that there was, if its server has none now."""
        async with self._lock:
            if self._clock() >= self._ask_at:
                await self._fetch()
        if self._kept is None:
            return web.Response(status=404, headers={hdrs.CACHE_CONTROL: "no-store"})
        media_type, body = self._kept
        return web.Response(body=body, content_type=media_type, headers=_HEADERS)

    async def _fetch(self) -> None:
        try:
            response = await self._http.get(
                self._url,
                # The operator has named it, and it may be in the operator's own network.
                trusted=True,
                headers={hdrs.ACCEPT: ", ".join((*sorted(_TYPES), _SVG))},
                max_bytes=MAX_BYTES,
                max_redirects=_REDIRECTS,
            )
            if response.status != _OK:
                raise FetchStatus(response.url, response.status, response.body)
            stated = response.headers.get(hdrs.CONTENT_TYPE, "")
            self._kept = self._type_of(response.body, stated), response.body
        except FetchError as exc:
            _log.warning(
                "a picture of the branding settings cannot be shown",
                url=self._url,
                reason=exc.reason,
            )
            self._ask_at = self._clock() + FAILED_S
        else:
            self._ask_at = self._clock() + FRESH_S

    def _type_of(self, body: bytes, stated: str) -> str:
        media_type = sniff(body)
        if media_type in _TYPES:
            return str(media_type)
        if stated.partition(";")[0].strip().lower() == _SVG and b"<svg" in body:
            return _SVG
        raise FetchMalformed(self._url, "it is no picture that browsers show")
