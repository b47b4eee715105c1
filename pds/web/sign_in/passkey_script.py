"""The script by which pages ask a browser for passkeys."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from pds.web.pages.rendering import file_handler, page_headers

PASSKEY_SCRIPT: Final = "/assets/passkeys.js"


def passkey_script_route() -> web.RouteDef:
    """Return the route of the script."""
    headers = page_headers() | {"Cache-Control": "max-age=300"}
    return web.get(PASSKEY_SCRIPT, file_handler("passkeys.js", "text/javascript", headers))
