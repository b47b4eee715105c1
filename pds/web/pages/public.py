"""`PublicPages`: pages for everybody, without forms that change something.

Caches may keep them for a short time, and only a choice of language sets a cookie. They need no
login, so a read-only server has them, too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeAlias

import structlog
from aiohttp import hdrs, web

from actor_store.errors import ActorStoreError
from database.errors import DatabaseError
from pds.fairness.turns import TooBusy
from pds.peers.link import PeerGone
from pds.read_context import ReadContext
from pds.translations.language import Language
from pds.translations.language import deferred as _
from pds.translations.languages import language_for
from pds.web.pages.brand import Brand
from pds.web.pages.errors import BUSY, PageError
from pds.web.pages.rendering import Templates, page_headers
from pds.web.pages.wanted_languages import keep_language, language_links, wanted_languages

_HEADERS: Final = {
    **page_headers("img-src 'self'", "form-action 'self'"),
    hdrs.CACHE_CONTROL: "max-age=30",
    hdrs.VARY: "Accept, Accept-Language, Cookie",
}
_UNREADABLE: Final = _("This repository cannot be read just now.")
_log = structlog.get_logger(__name__)


@dataclass(slots=True, frozen=True)
class PublicVisit:
    """A request for a public page."""

    pages: PublicPages
    request: web.Request
    language: Language

    def page(self, template: str, /, *, status: int = 200, **values: Any) -> web.Response:
        """Render a page."""
        values |= {
            "home_title": self.language.gettext(self.pages.home),
            "languages": language_links(self.request),
        }
        text = self.pages.templates.render(template, self.language, **values)
        return web.Response(
            status=status, text=text, content_type="text/html", charset="utf-8", headers=_HEADERS
        )


Show: TypeAlias = Callable[[PublicVisit], Awaitable[web.StreamResponse]]


class PublicPages:
    """The public pages of one server."""

    def __init__(
        self,
        ctx: ReadContext,
        packages: Mapping[str, str],
        *,
        home: str,
        filters: Mapping[str, Callable[..., Any]],
    ) -> None:
        """`packages` has the package of each area of templates, which may use `filters`.

        `home` is what the page at `/` is called, in English.
        """
        self.ctx = ctx
        self.home = home
        brand = Brand.of(ctx.settings)
        self.templates = Templates(packages, filters=filters, service_name=brand.name, brand=brand)

    def get(self, path: str, show: Show) -> web.RouteDef:
        """Return the route of a page."""
        return web.get(path, partial(self.answer, show))

    async def answer(self, show: Show, request: web.Request) -> web.StreamResponse:
        """Show a page, or one that says what is wrong."""
        visit = PublicVisit(self, request, await language_for(wanted_languages(request)))
        try:
            response = await show(visit)
        except PageError as exc:
            return _error_page(visit, exc)
        except TooBusy:
            return _error_page(visit, PageError(503, BUSY))
        except (ActorStoreError, DatabaseError, PeerGone):
            _log.exception("a page cannot be made", path=request.path)
            return _error_page(visit, PageError(503, _UNREADABLE))
        is_secure = self.ctx.settings.public_url.startswith("https:")
        keep_language(request, response, secure=is_secure)
        return response


def _error_page(visit: PublicVisit, error: PageError) -> web.Response:
    gettext = visit.language.gettext
    return visit.page(
        "public_error.html",
        status=error.status,
        message=gettext(error.message, **error.values),
        remedy=gettext(error.remedy, **error.values) if error.remedy else "",
    )
