"""Pages on which people sign in and decide. They work without scripts, and nothing frames them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from aiohttp import hdrs, web

from pds.oauth.clients.uris import Uri
from pds.web.pages.rendering import page_headers, templates_of

_templates: Final = templates_of("pds.web.oauth")


def page(
    template: str,
    *,
    status: int = 200,
    form_targets: Iterable[str] = (),
    script: bool = False,
    **values: Any,
) -> web.Response:
    """Render a page that no cache keeps.

    `form_targets` are sources where forms may end besides this server: browsers hold redirects
    after a form to them, too. `script` allows the script files of this server.
    """
    targets = " ".join(("form-action", "'self'", *form_targets))
    allowed = (targets, "img-src 'self'", *(("script-src 'self'",) if script else ()))
    headers = {
        **page_headers(*allowed),
        # The forms of these pages need it, to tell that they come from here.
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "X-Frame-Options": "DENY",
        hdrs.CACHE_CONTROL: "no-store",
        hdrs.PRAGMA: "no-cache",
    }
    text = _templates.get_template(template).render(**values)
    return web.Response(
        status=status, text=text, content_type="text/html", charset="utf-8", headers=headers
    )


def form_source(uri: str) -> str:
    """Return the source of the Content-Security-Policy that allows a form to end at `uri`.

    `uri` is a redirect URI, in whichever spelling the client wrote it.
    """
    parsed = Uri.parse(uri)
    # Policies can name no IPv6 address, so browsers would stop the way back to such a client.
    if parsed.scheme in ("http", "https") and not parsed.host.startswith("["):
        return parsed.origin
    return f"{parsed.scheme}:"
