"""`Site`: the pages of a server, and the way from a request to one of them.

A page's form is bound to the browser by its cookies, and to the page by a token.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeAlias

import structlog
from aiohttp import web

from actor_store.errors import ActorStoreError
from database.errors import DatabaseError
from pds.fairness.turns import TooBusy
from pds.oauth.devices.device_sessions import NO_DEVICE
from pds.oauth.replay.errors import ReplayStoreFailed
from pds.peers.link import PeerGone
from pds.rate_limits.errors import TooManyRequests
from pds.translations.asked import ask_for_languages
from pds.translations.languages import language_for
from pds.web.pages.cookies import set_cookies, visitor_of
from pds.web.pages.errors import BUSY, PageError
from pds.web.pages.form import Form, read_form
from pds.web.pages.origin import comes_from, is_navigation
from pds.web.pages.shared import Shared
from pds.web.pages.visit import Visit
from pds.web.pages.wanted_languages import keep_language, wanted_languages
from pds.xrpc.errors import XrpcError

Show: TypeAlias = Callable[[Visit], Awaitable[web.StreamResponse]]
Do: TypeAlias = Callable[[Visit, Form], Awaitable[web.StreamResponse]]

_log = structlog.get_logger(__name__)


class Site(Shared):
    """The pages of one server."""

    def get(self, path: str, show: Show) -> web.RouteDef:
        """Return the route of a page for a browser, which gets cookies."""
        return web.get(path, partial(self._get, show))

    def post(self, path: str, do: Do) -> web.RouteDef:
        """Return the route of a form that only a page of this server, in this browser, can send."""
        return web.post(path, partial(self._post, do))

    def part(self, path: str, show: Show) -> web.RouteDef:
        """Return the route of a part of a page, which a script of that page loads again."""
        return web.get(path, partial(self._part, show))

    async def _part(self, show: Show, request: web.Request) -> web.StreamResponse:
        visit = await self._visit(request)
        if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
            error = PageError(403, "This was not asked for by a page of this server.")
            return self._error_page(visit, error)
        return await self._guarded(visit, partial(show, visit))

    async def _get(self, show: Show, request: web.Request) -> web.StreamResponse:
        visit = await self._visit(request)
        if not is_navigation(request.headers):
            error = PageError(400, "This page must be opened in a tab of its own.")
            return self._error_page(visit, error)
        response = await self._guarded(visit, partial(show, visit))
        keep_language(request, response, secure=self.is_secure)
        return response

    async def _post(self, do: Do, request: web.Request) -> web.StreamResponse:
        visit = await self._visit(request)
        return await self._guarded(visit, partial(self._do, do, visit))

    async def _do(self, do: Do, visit: Visit) -> web.StreamResponse:
        if not comes_from(self.origin, visit.request.headers):
            raise PageError(
                403,
                "This form was not sent by a page of this server.",
                "Open the page at %(address)s, and try once more.",
                address=self.origin,
            )
        form = await read_form(visit.request)
        if not self.form_tokens.is_valid(visit.device.id, form.text("csrf")):
            raise PageError(
                403,
                "Your browser did not send the cookies of this page.",
                "Allow cookies for this server, go back, load the page again, and try once more.",
            )
        return await do(visit, form)

    async def _visit(self, request: web.Request) -> Visit:
        wanted = wanted_languages(request)
        ask_for_languages(", ".join(wanted))
        visitor = visitor_of(self.ctx, request, secure=self.is_secure)
        # Of those who ask too often, no browser is stored: anybody could fill the table.
        is_refused = await self._is_refused(request)
        device = NO_DEVICE if is_refused else await self.devices.recognise(visitor)
        return Visit(
            self,
            request,
            visitor,
            device,
            await language_for(wanted),
            self.notices.read(request, device.id),
        )

    async def _is_refused(self, request: web.Request) -> bool:
        if self.limiter is None:
            return False
        try:
            await self.limiter.count_request(request, request.path)
        except TooManyRequests:
            return True
        return False

    async def _guarded(
        self, visit: Visit, answer: Callable[[], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Answer with a page for whatever goes wrong, and give the browser its cookies."""
        try:
            if visit.device is NO_DEVICE:
                raise TooManyRequests
            response = await answer()
        except PageError as exc:
            response = self._error_page(visit, exc)
        except TooManyRequests:
            response = self._error_page(
                visit,
                PageError(
                    429, "There were too many attempts.", "Please try again in some minutes."
                ),
            )
        except XrpcError as exc:
            response = self._error_page(visit, PageError(exc.status, "%(said)s", said=exc.message))
        except TooBusy:
            response = self._error_page(visit, PageError(503, BUSY))
        except (ActorStoreError, DatabaseError, PeerGone, ReplayStoreFailed):
            _log.exception("a page cannot be made", path=visit.request.path)
            response = self._error_page(
                visit,
                PageError(500, "This server has a problem.", "Please try again in a minute."),
            )
        if not response.prepared:
            self._set_cookies(visit, response)
        return response

    def _set_cookies(self, visit: Visit, response: web.StreamResponse) -> None:
        if visit.device is not NO_DEVICE:
            set_cookies(response, visit.visitor, visit.device, secure=self.is_secure)
        if visit.next_notice:
            self.notices.set(response, visit.device.id, visit.next_notice)
        elif visit.notice and response.status < 300:
            self.notices.forget(response)

    def _error_page(self, visit: Visit, error: PageError) -> web.Response:
        values: dict[str, Any] = {
            "title": visit.gettext(error.title),
            "message": visit.gettext(error.message, **error.values),
            "remedy": visit.gettext(error.remedy, **error.values) if error.remedy else "",
        }
        return visit.page("error.html", status=error.status, **values)
