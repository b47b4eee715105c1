"""Every route below `/admin`; there are none without an administrator's password."""

from __future__ import annotations

from collections.abc import Iterator

from aiohttp import web

from pds.web.admin.account import account_routes
from pds.web.admin.accounts import accounts_routes
from pds.web.admin.blobs import blobs_routes
from pds.web.admin.desk import ROOT, Desk
from pds.web.admin.health import health_routes
from pds.web.admin.invites import invites_routes
from pds.web.admin.log import log_routes
from pds.web.admin.overview import overview_routes
from pds.web.admin.security import security_routes
from pds.web.admin.sign_in import sign_in_routes
from pds.web.admin.traffic import traffic_routes
from pds.web.pages.rendering import file_handler, page_headers
from pds.web.pages.site import Site

PACKAGE = "pds.web.admin"
"""Has the templates of the area `admin`."""


def admin_routes(site: Site) -> Iterator[web.RouteDef]:
    """Yield the pages, and the style sheet and script that they load."""
    if not site.ctx.settings.secrets.admin_password:
        return
    desk = Desk(site)
    yield from sign_in_routes(desk)
    yield from overview_routes(desk)
    yield from accounts_routes(desk)
    yield from account_routes(desk)
    yield from invites_routes(desk)
    yield from blobs_routes(desk)
    yield from traffic_routes(desk)
    yield from health_routes(desk)
    yield from log_routes(desk)
    yield from security_routes(desk)
    for name, kind in (("admin.css", "text/css"), ("live.js", "text/javascript")):
        headers = page_headers() | {"Cache-Control": "max-age=300"}
        yield web.get(f"{ROOT}/{name}", file_handler(name, kind, headers, package=PACKAGE))
