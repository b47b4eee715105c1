"""Every route of the pages for moving."""

from __future__ import annotations

from collections.abc import Iterator

from aiohttp import web

from pds.lifecycle.migration.beginning import Beginning
from pds.lifecycle.migration.copying import Copier
from pds.lifecycle.migration.moving import Moving
from pds.oauth.provider import OAuth
from pds.web.account.session import People
from pds.web.migrate.moving_in import MovingIn
from pds.web.migrate.moving_out import MovingOut
from pds.web.migrate.progress import ProgressPage
from pds.web.pages.site import Site


def migrate_routes(site: Site, oauth: OAuth) -> Iterator[web.RouteDef]:
    """Yield the pages and their forms."""
    people, moving, beginning = People(site, oauth), Moving(site.ctx), Beginning(site.ctx)
    yield from MovingIn(people, moving, beginning).routes()
    yield from MovingOut(people, beginning).routes()
    yield from ProgressPage(people, moving, Copier(moving)).routes()
