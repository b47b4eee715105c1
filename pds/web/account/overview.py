"""The page `/account`: what the account is, and where to change it."""

from __future__ import annotations

from collections.abc import Iterator

from aiohttp import web

from pds.web.account.session import ACCOUNT_PATH, People, Person
from pds.web.pages.visit import Visit


def overview_routes(people: People) -> Iterator[web.RouteDef]:
    """Yield the page."""
    yield people.get(ACCOUNT_PATH, _show)


async def _show(visit: Visit, person: Person) -> web.StreamResponse:
    return visit.page("account/overview.html", account=person.account)
