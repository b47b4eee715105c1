"""Which languages the visitor of a page wants: by a link, a cookie, or the browser's settings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from aiohttp import hdrs, web

from pds.translations.choice import accepted_tags
from pds.translations.languages import NAMES
from pds.web.pages.cookies import LANGUAGE_COOKIE, set_cookie

_FIELD: Final = "lang"


@dataclass(slots=True, frozen=True)
class LanguageLink:
    """A link to the same page in a language."""

    tag: str
    own_name: str
    address: str


def wanted_languages(request: web.Request, asked: Iterable[str] = ()) -> list[str]:
    """Return the tags of languages, the preferred ones first.

    `asked` are those that an app asks for: they come after what the visitor has chosen here.
    """
    chosen = request.query.get(_FIELD), request.cookies.get(LANGUAGE_COOKIE)
    accepted = accepted_tags(request.headers.get(hdrs.ACCEPT_LANGUAGE, ""))
    return [*(tag for tag in chosen if tag), *asked, *accepted]


def language_links(request: web.Request) -> Iterator[LanguageLink]:
    """Yield the links of a page to itself; the answer to a form has no address, and none."""
    if request.method not in ("GET", "HEAD"):
        return
    for tag, own_name in NAMES.items():
        query = request.rel_url.update_query({_FIELD: tag}).raw_query_string
        yield LanguageLink(tag, own_name, f"?{query}")


def keep_language(request: web.Request, response: web.StreamResponse, *, secure: bool) -> None:
    """Remember the language that a link has chosen."""
    chosen = request.query.get(_FIELD)
    if chosen in NAMES and not response.prepared:
        set_cookie(response, LANGUAGE_COOKIE, chosen, secure=secure)
        response.headers[hdrs.CACHE_CONTROL] = "no-store"
