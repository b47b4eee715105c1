"""`/admin/accounts`: finding accounts by handle, e-mail address, DID or state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, get_args
from urllib.parse import urlencode

from aiohttp import web

from pds.accounts.search import AccountFilter, list_accounts, search_accounts
from pds.translations.language import deferred as _
from pds.web.admin.desk import ROOT, AdminVisit, Desk
from pds.web.admin.views import AccountView

_PAGE: Final = 50
_STATES: Final[dict[AccountFilter, str]] = {
    "all": _("All accounts"),
    "active": _("Active"),
    "takendown": _("Taken down"),
    "deactivated": _("Deactivated"),
}


def accounts_routes(desk: Desk) -> Iterator[web.RouteDef]:
    """Yield the page."""
    yield desk.get("/accounts", _show)


async def _show(visit: AdminVisit) -> web.StreamResponse:
    text, after, state = visit.query("q").strip(), visit.query("after"), _state_of(visit)
    db = visit.ctx.accounts.db
    if text:
        page = search_accounts(db, text, after=after, limit=_PAGE)
    else:
        page = list_accounts(db, state, after=after, limit=_PAGE)
    asked = {"q": text} if text else {"state": state}
    return visit.page(
        "accounts.html",
        text=text,
        state_wanted=state,
        states=_STATES,
        accounts=[AccountView.of(each) for each in page.accounts],
        is_partial=page.is_partial,
        first=f"{ROOT}/accounts?{urlencode(asked)}" if after else None,
        next=page.next and f"{ROOT}/accounts?{urlencode({**asked, 'after': page.next})}",
    )


def _state_of(visit: AdminVisit) -> AccountFilter:
    asked = visit.query("state")
    found: tuple[AccountFilter, ...] = get_args(AccountFilter)
    return next((each for each in found if each == asked), "all")
