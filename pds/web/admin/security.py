"""`/admin/security`: the administrator's second factor and browsers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from aiohttp import web

from database.timestamps import iso_of
from pds.translations.language import deferred as _
from pds.web.admin.desk import ROOT, AdminVisit, Desk
from pds.web.admin.views import LONGEST
from pds.web.pages.form import Form
from pds.web.pages.strangers_texts import on_one_line
from pds.web.sign_in.app_key import AppKey

_ACCOUNT: Final = "admin"
_PATH: Final = f"{ROOT}/security"


def security_routes(desk: Desk) -> Iterator[web.RouteDef]:
    """Yield the page and its forms."""
    yield desk.get("/security", _show)
    yield desk.post("/security/set-up", _offer, asks_again=True)
    yield desk.post("/security/confirm", _confirm, asks_again=True)
    yield desk.post("/security/remove", partial(_remove, desk), asks_again=True)
    yield desk.post("/security/end-others", _end_others)


async def _show(visit: AdminVisit) -> web.StreamResponse:
    factor = visit.admin.second_factor
    since = factor.since
    return visit.page(
        "security.html",
        since=None if since is None else iso_of(since),
        sessions=[
            {
                "is_this": each == visit.session,
                "address": each.address,
                "agent": on_one_line(each.user_agent, LONGEST),
                "started_at": iso_of(each.started_at),
            }
            for each in visit.admin.sessions.list()
        ],
    )


async def _offer(visit: AdminVisit, _form: Form) -> web.StreamResponse:
    if visit.admin.second_factor.is_set:
        return visit.visit.redirect(_PATH)  # Its form takes the code that removes the other.
    secret, sealed = visit.admin.second_factor.offer()
    return _set_up(visit, secret, sealed)


async def _confirm(visit: AdminVisit, form: Form) -> web.StreamResponse:
    factor, sealed = visit.admin.second_factor, form.text("offer")
    if factor.is_set:
        return visit.visit.redirect(_PATH)  # Its form takes the code that removes the other.
    secret = factor.offered(sealed)
    if secret is None:
        return visit.back("/security", _("This has taken too long. Please begin again."))
    if not await factor.set_up(secret, form.text("code").strip()):
        problem = visit.visit.gettext(_("This is not a code that is valid now."))
        return _set_up(visit, secret, sealed, problem)
    # Browsers that signed in without it have to sign in again.
    await visit.admin.sessions.end_others(visit.session)
    await visit.note("second-factor")
    return visit.back("/security", _("From now on these pages ask for a code, too."))


async def _remove(desk: Desk, visit: AdminVisit, form: Form) -> web.StreamResponse:
    if not await desk.check_code(visit.visit, form.text("code")):
        return visit.back("/security", _("This is not a code that is valid now."))
    await visit.admin.second_factor.remove()
    await visit.note("no-second-factor")
    return visit.back("/security", _("These pages ask for the password alone."))


async def _end_others(visit: AdminVisit, _form: Form) -> web.StreamResponse:
    await visit.admin.sessions.end_others(visit.session)
    await visit.note("end-sessions")
    return visit.back("/security", _("All other browsers are signed out."))


def _set_up(visit: AdminVisit, secret: str, sealed: str, problem: str = "") -> web.Response:
    issuer = visit.ctx.settings.service_name
    return visit.page(
        "set_up.html",
        key=AppKey.of(secret, sealed, account=_ACCOUNT, issuer=issuer),
        problem=problem,
    )
