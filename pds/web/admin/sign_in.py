"""`/admin/sign-in`: the administrator's password, and the second factor if there is one."""

from __future__ import annotations

from collections.abc import Iterator

from aiohttp import hdrs, web

from pds.translations.language import deferred as _
from pds.web.admin.desk import COOKIE, ROOT, SIGN_IN, AdminVisit, Desk
from pds.web.pages.form import Form
from pds.web.pages.visit import Visit


def sign_in_routes(desk: Desk) -> Iterator[web.RouteDef]:
    """Yield the page, its form, and signing out."""
    admin = desk.site.ctx.administration

    def page(visit: Visit, problem: str = "") -> web.Response:
        return visit.page(
            "admin/sign_in.html",
            problem=problem,
            asks_code=admin.second_factor.is_set,
        )

    async def show(visit: Visit) -> web.StreamResponse:
        if desk.find(visit) is not None:
            return visit.redirect(ROOT)
        return page(visit)

    async def sign_in(visit: Visit, form: Form) -> web.StreamResponse:
        if not await desk.check_password(visit, form.text("password")):
            return page(visit, visit.gettext(_("This is not the password of the administrator.")))
        if admin.second_factor.is_set and not await desk.check_code(visit, form.text("code")):
            return page(visit, visit.gettext(_("This is not a code that is valid now.")))
        agent = visit.request.headers.get(hdrs.USER_AGENT, "")
        token = await admin.sessions.begin(visit.visitor.ip_address, agent)
        await admin.actions.note("sign-in", address=visit.visitor.ip_address)
        await visit.rotate()
        response = visit.redirect(ROOT)
        desk.set_cookie(response, token)
        return response

    async def sign_out(visit: AdminVisit, _form: Form) -> web.StreamResponse:
        await visit.admin.sessions.end(visit.session)
        response = visit.visit.redirect(SIGN_IN, visit.visit.gettext(_("You are signed out.")))
        response.del_cookie(COOKIE, path=ROOT)
        return response

    yield desk.site.get(SIGN_IN, show)
    yield desk.site.post(SIGN_IN, sign_in)
    yield desk.post("/sign-out", sign_out)
