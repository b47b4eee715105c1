"""The page of an account's invite codes."""

from __future__ import annotations

from collections.abc import Iterator

from aiohttp import web

from pds.web.account.session import People, Person
from pds.web.pages.visit import Visit


def invite_routes(people: People) -> Iterator[web.RouteDef]:
    """Yield the page."""
    yield people.get("/account/invites", _show)


async def _show(visit: Visit, person: Person) -> web.StreamResponse:
    ctx, did = visit.site.ctx, person.account.did
    invites = ctx.settings.invites
    if invites.required and invites.interval_ms is not None and person.account.active:
        await ctx.accounts.invites.create_earned(
            did, interval_ms=invites.interval_ms, epoch_ms=invites.epoch_ms
        )
    codes = ctx.accounts.invites.list_enabled(did, include_used=True)
    return visit.page("account/invites.html", account=person.account, codes=codes)
