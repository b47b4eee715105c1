"""The page `/account`: what the account is, and where to change it."""

from __future__ import annotations

from collections.abc import Iterator

from aiohttp import web

from pds.reporting import format_size
from pds.repos.quotas import storage_status
from pds.web.account.session import ACCOUNT_PATH, People, Person
from pds.web.pages.visit import Visit


def overview_routes(people: People) -> Iterator[web.RouteDef]:
    """Yield the page."""
    yield people.get(ACCOUNT_PATH, _show)


async def _show(visit: Visit, person: Person) -> web.StreamResponse:
    account = person.account
    storage = await storage_status(visit.site.ctx, account.did)
    quota = storage["quotaBytes"]
    factors = visit.site.ctx.second_factors
    return visit.page(
        "account/overview.html",
        account=account,
        is_active=account.active,
        needs_factor=factors.required and not factors.of(account.did).any,
        used=format_size(storage["usedBytes"]),
        quota=None if quota is None else format_size(quota),
        percent=None if not quota else min(100, 100 * storage["usedBytes"] // quota),
    )
