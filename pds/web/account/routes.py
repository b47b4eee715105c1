"""Every route of the pages of an account."""

from __future__ import annotations

from collections.abc import Iterator

from aiohttp import web

from pds.oauth.provider import OAuth
from pds.web.account.app_passwords import app_password_routes
from pds.web.account.apps import app_routes
from pds.web.account.data import data_routes
from pds.web.account.email import email_routes
from pds.web.account.factors.routes import factor_routes
from pds.web.account.handle import handle_routes
from pds.web.account.invites import invite_routes
from pds.web.account.overview import overview_routes
from pds.web.account.password import password_routes
from pds.web.account.session import People
from pds.web.account.sessions import session_routes
from pds.web.account.signing_in import signing_in_routes
from pds.web.account.state import state_routes
from pds.web.pages.site import Site
from pds.web.sign_in.reset import reset_routes


def account_routes(site: Site, oauth: OAuth) -> Iterator[web.RouteDef]:
    """Yield the pages of an account, and those by which one gets to them."""
    people = People(site, oauth)
    yield from reset_routes(site)
    for routes in (
        signing_in_routes,
        overview_routes,
        handle_routes,
        email_routes,
        password_routes,
        factor_routes,
        app_password_routes,
        session_routes,
        app_routes,
        data_routes,
        invite_routes,
        state_routes,
    ):
        yield from routes(people)
    yield site.get("/account/{form:.*}", people.lead_back)
