"""The style sheet and the script of the pages, in the operator's colours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources
from typing import Final

from aiohttp import web

from pds.config.groups.service import BrandingSettings
from pds.web.pages.rendering import file_handler, page_headers

_COLOR: Final = re.compile(r"#[0-9a-fA-F]{3,8}|[a-zA-Z]{3,30}|(rgb|hsl)a?\([0-9.,%/ a-z]{1,60}\)")


def style_routes(branding: BrandingSettings) -> Iterator[web.RouteDef]:
    """Yield the files that the pages load."""
    sheet = "\n".join(
        (_text("pds.web.pages", "style.css"), _text("pds.web.oauth", "oauth.css"), _brand(branding))
    )

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text=sheet, content_type="text/css", headers=page_headers())

    yield web.get("/oauth/style.css", answer)
    script = file_handler("submit.js", "text/javascript", page_headers(), package="pds.web.oauth")
    yield web.get("/oauth/submit.js", script)


def _brand(branding: BrandingSettings) -> str:
    colors = {"brand": branding.primary_color, "error": branding.error_color}
    lines = (
        f"--{name}: {value};"
        for name, value in colors.items()
        # A setting that is no colour would end the rule, and style what follows.
        if value is not None and _COLOR.fullmatch(value)
    )
    return f":root {{ {' '.join(lines)} }}\n"


def _text(package: str, name: str) -> str:
    return resources.files(package).joinpath("templates", name).read_text("utf-8")
