"""`/admin/log`: what administrators did, newest first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from aiohttp import web

from pds.translations.language import deferred as _
from pds.web.admin.desk import ROOT, AdminVisit, Desk
from pds.web.admin.views import path_of

_PAGE: Final = 100
ACTIONS: Final = {
    "sign-in": _("Signed in"),
    "takedown": _("Took an account down"),
    "restore": _("Restored an account"),
    "quota": _("Changed a quota"),
    "password": _("Set a new password"),
    "second-factors": _("Removed the second factors of an account"),
    "email": _("Changed an e-mail address"),
    "handle": _("Changed a handle"),
    "allow-invites": _("Let an account invite people"),
    "stop-invites": _("Stopped the invitations of an account"),
    "delete": _("Deleted an account"),
    "takedown-blob": _("Took a file down"),
    "restore-blob": _("Restored a file"),
    "create-invites": _("Made invite codes"),
    "disable-invite": _("Disabled an invite code"),
    "request-crawl": _("Asked a host to crawl"),
    "examine": _("Started an examination"),
    "second-factor": _("Set up the second factor of these pages"),
    "no-second-factor": _("Removed the second factor of these pages"),
    "end-sessions": _("Signed out other browsers"),
}
"""What is done on these pages, in words. What the API does has the name of its method."""


def log_routes(desk: Desk) -> Iterator[web.RouteDef]:
    """Yield the page."""
    yield desk.get("/log", _show)


async def _show(visit: AdminVisit) -> web.StreamResponse:
    before = visit.number("before")
    entries = visit.admin.actions.page(limit=_PAGE, before=before)
    return visit.page(
        "log.html",
        entries=entries,
        actions=ACTIONS,
        path_of=path_of,
        is_first=before is None,
        next=len(entries) == _PAGE and f"{ROOT}/log?before={entries[-1].id}",
    )
