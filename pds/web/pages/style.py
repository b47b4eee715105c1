"""The style sheet of all pages, in the operator's colours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources
from typing import Final

from aiohttp import web

from pds.config.groups.service import BrandingSettings
from pds.web.pages.rendering import file_handler, page_headers

STYLE_PATH: Final = "/assets/style.css"
ICON_PATH: Final = "/assets/icon.svg"
_COLOR: Final = re.compile(r"#[0-9a-fA-F]{3,8}|[a-zA-Z]{3,30}|(rgb|hsl)a?\([0-9.,%/ a-z]{1,60}\)")


def style_routes(branding: BrandingSettings) -> Iterator[web.RouteDef]:
    """Yield the style sheet and the icon, which every page loads."""
    sheet = "\n".join((_text("style.css"), _text("forms.css"), _brand(branding)))

    async def answer(_request: web.Request) -> web.Response:
        headers = page_headers() | {"Cache-Control": "max-age=300"}
        return web.Response(text=sheet, content_type="text/css", headers=headers)

    yield web.get(STYLE_PATH, answer)
    yield web.get(ICON_PATH, file_handler("icon.svg", "image/svg+xml", page_headers()))


def _brand(branding: BrandingSettings) -> str:
    colors = {"brand": branding.primary_color, "error": branding.error_color}
    lines = (
        f"--{name}: {value};"
        for name, value in colors.items()
        # A setting that is no colour would end the rule, and style what follows.
        if value is not None and _COLOR.fullmatch(value)
    )
    return f":root {{ {' '.join(lines)} }}\n"


def _text(name: str) -> str:
    return resources.files("pds.web.pages").joinpath("templates", name).read_text("utf-8")
