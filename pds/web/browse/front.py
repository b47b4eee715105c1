"""The page at `/` of a full server: what it is, and how to join."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from aiohttp import hdrs, web

from pds.context import AppContext
from pds.web.browse.accounts import AccountShelf, find_public
from pds.web.browse.pages import FILTERS, browse_routes
from pds.web.pages.public import PublicPages, PublicVisit
from pds.xrpc.responses import add_common_headers

_PACKAGES = {"browse": "pds.web.browse"}
_BANNER = r"""
 _   _       _     _  __           _
| | | | ___ | | __| |/ _| __ _ ___| |_
| |_| |/ _ \| |/ _` | |_ / _` / __| __|
|  _  | (_) | | (_| |  _| (_| \__ \ |_
|_| |_|\___/|_|\__,_|_|  \__,_|___/\__|

This is an AT Protocol Personal Data Server (PDS), run by Holdfast.

Most API routes are under /xrpc/

    Protocol: https://atproto.com
"""


def front_routes(ctx: AppContext) -> Iterator[web.RouteDef]:
    """Yield the first page, those of people by their handles, and those of repositories."""
    pages = PublicPages(ctx, _PACKAGES, home=ctx.settings.service_name, filters=FILTERS)
    front = FrontPages(ctx)
    yield pages.get("/", front.show)
    yield pages.get("/@{handle}", front.show_person)
    yield from browse_routes(pages, AccountShelf(ctx))


class FrontPages:
    """Pages that lead to the others."""

    def __init__(self, ctx: AppContext) -> None:
        self._ctx = ctx

    async def show(self, visit: PublicVisit) -> web.Response:
        """Return the page; to programs, the lines that they get from any PDS."""
        if "text/html" not in visit.request.headers.get(hdrs.ACCEPT, ""):
            response = web.Response(text=_BANNER, headers={hdrs.VARY: hdrs.ACCEPT})
            add_common_headers(response.headers, private=False)
            return response
        settings = self._ctx.settings
        service, has_people = settings.service, not settings.hold.only
        return visit.page(
            "browse/front.html",
            hostname=settings.hostname,
            domains=settings.service_handle_domains,
            needs_invite=settings.invites.required,
            has_people=has_people,
            entryway=None if self._ctx.entryway is None else self._ctx.entryway.url,
            has_hold=settings.hold.enabled,
            contact=service.contact_email_address,
            terms=service.terms_of_service_url,
            privacy=service.privacy_policy_url,
        )

    async def show_person(self, visit: PublicVisit) -> web.Response:
        """Send the browser to the repository of somebody with this handle."""
        handle = visit.request.match_info["handle"].lower()
        account = find_public(self._ctx, handle)
        location = f"/repo/{quote(account.did, safe=':')}"
        return web.Response(status=302, headers={hdrs.LOCATION: location})
