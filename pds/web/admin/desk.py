"""`Desk`: the pages below `/admin` of one server, behind the administrator's session.

The session's cookie is of these pages alone, and never sent with a request that another site has
caused. A dangerous step asks for the password again if it was given some time ago.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from aiohttp import web

from pds.administration.administration import Administration
from pds.administration.second_factor import TooManyWrongCodes
from pds.administration.sessions import LIFETIME_S, AdminSession
from pds.context import AppContext
from pds.translations.language import deferred as _
from pds.web.pages.errors import PageError
from pds.web.pages.form import Form
from pds.web.pages.site import Site
from pds.web.pages.visit import Visit

COOKIE: Final = "admin-session"
ROOT: Final = "/admin"
SIGN_IN: Final = f"{ROOT}/sign-in"
PASSWORD_FIELD: Final = "admin_password"  # noqa: S105  # the name of a field
_MENU: Final = (
    ("", _("Overview")),
    ("/accounts", _("Accounts")),
    ("/invites", _("Invite codes")),
    ("/blobs", _("Files")),
    ("/firehose", _("Firehose")),
    ("/crawlers", _("Crawlers")),
    ("/mails", _("Mails")),
    ("/health", _("Health")),
    ("/log", _("Log")),
    ("/security", _("Security")),
)
_CODE_CHARACTERS: Final = 20
_is_number: Final = re.compile(r"[0-9]{1,15}").fullmatch


@dataclass(slots=True)
class AdminVisit:
    """A request of the administrator."""

    visit: Visit
    session: AdminSession
    area: str
    """The path of the menu's entry, without `/admin`."""

    @property
    def ctx(self) -> AppContext:
        """The parts of the server."""
        return self.visit.site.ctx

    @property
    def admin(self) -> Administration:
        """What these pages keep."""
        return self.ctx.administration

    def query(self, name: str) -> str:
        """Return a parameter of the address, shortened; empty if there is none."""
        return self.visit.request.query.get(name, "")[:500]

    def number(self, name: str) -> int | None:
        """Return a parameter that is a number; None if it is none."""
        text = self.query(name)
        return int(text) if _is_number(text) else None

    def page(self, template: str, **values: Any) -> web.Response:
        """Render a page with the menu: see `Visit.page`."""
        return self.visit.page(
            f"admin/{template}",
            menu=[(f"{ROOT}{path}", text, path == self.area) for path, text in _MENU],
            **values,
        )

    def back(self, path: str, notice: str, **values: object) -> web.Response:
        """Send the browser to a page below `/admin`, which says what was done."""
        return self.visit.redirect(f"{ROOT}{path}", self.visit.gettext(notice, **values))

    async def note(self, action: str, subject: str = "", detail: str = "") -> None:
        """Write down what the administrator has done."""
        await self.admin.actions.note(
            action, subject, detail, address=self.visit.visitor.ip_address
        )


AdminShow: TypeAlias = Callable[[AdminVisit], Awaitable[web.StreamResponse]]
AdminDo: TypeAlias = Callable[[AdminVisit, Form], Awaitable[web.StreamResponse]]


class Desk:
    """Makes routes that only the administrator reaches."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.sessions = site.ctx.administration.sessions

    def get(self, path: str, show: AdminShow) -> web.RouteDef:
        """Return the route of a page below `/admin`."""

        async def guarded(visit: Visit) -> web.StreamResponse:
            session = self.find(visit)
            if session is None:
                return visit.redirect(SIGN_IN)
            return await show(AdminVisit(visit, session, _area(path)))

        return self.site.get(f"{ROOT}{path}", guarded)

    def post(self, path: str, do: AdminDo, *, asks_again: bool = False) -> web.RouteDef:
        """Return the route of a form; `asks_again` for a password that was given long ago."""

        async def guarded(visit: Visit, form: Form) -> web.StreamResponse:
            session = self.find(visit)
            if session is None:
                return visit.redirect(SIGN_IN, visit.gettext(_("Please sign in again.")))
            of_admin = AdminVisit(visit, session, _area(path))
            if asks_again and not self.sessions.is_recent(session):
                problem = await self._ask_again(of_admin, form)
                if problem is not None:
                    return problem
            return await do(of_admin, form)

        return self.site.post(f"{ROOT}{path}", guarded)

    def part(self, path: str, show: AdminShow) -> web.RouteDef:
        """Return the route of a part of a page, which a script of that page loads again."""

        async def guarded(visit: Visit) -> web.StreamResponse:
            session = self.find(visit)
            if session is None:
                raise PageError(403, _("Please sign in again."))
            return await show(AdminVisit(visit, session, _area(path)))

        return self.site.part(f"{ROOT}{path}", guarded)

    def find(self, visit: Visit) -> AdminSession | None:
        """Return the session of a browser, if it is signed in."""
        return self.sessions.find(visit.request.cookies.get(COOKIE))

    def set_cookie(self, response: web.StreamResponse, token: str) -> None:
        """Give the browser its session."""
        response.set_cookie(
            COOKIE,
            token,
            max_age=LIFETIME_S,
            path=ROOT,
            secure=self.site.is_secure,
            httponly=True,
            samesite="Strict",
        )

    async def check_password(self, visit: Visit, password: str) -> bool:
        """Whether it is the password; wrong ones are counted. Raises `TooManyRequests`."""
        guesses = self.site.ctx.admin_guesses
        if not self.sessions.is_password(password):
            await guesses.note_wrong(visit.request)
            return False
        await guesses.check_right(visit.request)
        return True

    async def check_code(self, visit: Visit, code: str) -> bool:
        """Whether it is a code of the second factor. Raises `PageError` and `TooManyRequests`."""
        ctx = self.site.ctx
        try:
            if await ctx.administration.second_factor.check(code.strip()[:_CODE_CHARACTERS]):
                return True
        except TooManyWrongCodes as exc:
            raise PageError(
                429,
                _("Too many wrong codes were given today."),
                _(
                    "On the server's machine, the command “pds admin reset-second-factor” removes"
                    " the second factor."
                ),
            ) from exc
        # Counted as a wrong password is, or the code could be guessed.
        await ctx.admin_guesses.note_wrong(visit.request)
        return False

    async def _ask_again(self, visit: AdminVisit, form: Form) -> web.Response | None:
        """Return the page that asks for the password; None if the form has it."""
        problem = ""
        if form.has(PASSWORD_FIELD):
            if await self.check_password(visit.visit, form.text(PASSWORD_FIELD)):
                await self.sessions.confirm(visit.session)
                return None
            problem = visit.visit.gettext(_("This is not the password of the administrator."))
        kept = [each for each in form.fields if each[0] not in ("csrf", PASSWORD_FIELD)]
        return visit.page(
            "confirm.html",
            action=visit.visit.request.path,
            fields=kept,
            password_field=PASSWORD_FIELD,
            problem=problem,
        )


def _area(path: str) -> str:
    first = path.split("/")[1] if path else ""
    return f"/{first}" if first else ""
