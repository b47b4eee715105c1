"""The style sheet of all pages, in the operator's colours."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from typing import Final

from aiohttp import web

from identity.http import SafeHttp
from pds.config.groups.service import BrandingSettings
from pds.web.pages.colors import color_rule
from pds.web.pages.pictures import background_rules, picture_routes
from pds.web.pages.rendering import file_handler, page_headers

STYLE_PATH: Final = "/assets/style.css"
ICON_PATH: Final = "/assets/icon.svg"


def style_routes(branding: BrandingSettings, http: SafeHttp) -> Iterator[web.RouteDef]:
    """Yield the style sheet, the icon and the operator's pictures, which every page loads."""
    rules = (color_rule(branding), background_rules(branding))
    sheet = "\n".join((_text("style.css"), _text("forms.css"), *rules))
    yield from picture_routes(branding, http)

    async def answer(_request: web.Request) -> web.Response:
        headers = page_headers() | {"Cache-Control": "max-age=300"}
        return web.Response(text=sheet, content_type="text/css", headers=headers)

    yield web.get(STYLE_PATH, answer)
    yield web.get(ICON_PATH, file_handler("icon.svg", "image/svg+xml", page_headers()))


def _text(name: str) -> str:
    return resources.files("pds.web.pages").joinpath("templates", name).read_text("utf-8")
