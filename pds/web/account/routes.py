"""Every route of the pages of an account."""

from __future__ import annotations

from collections.abc import Iterator

from aiohttp import web

from pds.oauth.provider import OAuth
from pds.web.account.overview import overview_routes
from pds.web.account.session import People
from pds.web.account.signing_in import signing_in_routes
from pds.web.pages.site import Site
from pds.web.sign_in.reset import reset_routes


def account_routes(site: Site, oauth: OAuth) -> Iterator[web.RouteDef]:
    """Yield the pages of an account, and those by which one gets to them."""
    people = People(site, oauth)
    yield from reset_routes(site)
    yield from signing_in_routes(people)
    yield from overview_routes(people)
