"""Which languages the visitor of a page wants: by a link, a cookie, or the browser's settings."""

from __future__ import annotations

from aiohttp import hdrs, web

from pds.translations.choice import accepted_tags
from pds.web.pages.cookies import LANGUAGE_COOKIE


def wanted_languages(request: web.Request) -> list[str]:
    """Return the tags of languages, the preferred ones first."""
    chosen = request.query.get("lang"), request.cookies.get(LANGUAGE_COOKIE)
    accepted = accepted_tags(request.headers.get(hdrs.ACCEPT_LANGUAGE, ""))
    return [*(tag for tag in chosen if tag), *accepted]
