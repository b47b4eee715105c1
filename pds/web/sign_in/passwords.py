"""The page that asks for the password."""

from __future__ import annotations

from aiohttp import web

from pds.accounts.errors import AccountError, InvalidCredentials
from pds.accounts.logins import Login
from pds.fairness.turns import TooBusy
from pds.web.pages.form import Form
from pds.web.pages.shared import Shared
from pds.web.pages.visit import Visit
from pds.web.sign_in.purpose import Purpose


class PasswordPage:
    """Signs people in by their password, for any purpose."""

    def __init__(self, site: Shared) -> None:
        self._accounts = site.ctx.accounts

    def show(
        self,
        visit: Visit,
        purpose: Purpose,
        *,
        username: str = "",
        problem: str = "",
        remember: bool = False,
    ) -> web.StreamResponse:
        """Return the page."""
        return purpose.page(
            visit,
            "sign_in/sign_in.html",
            status=400 if problem else 200,
            username=username,
            problem=problem,
            remember=remember,
        )

    async def sign_in(self, visit: Visit, purpose: Purpose, form: Form) -> web.StreamResponse:
        """Check the password, and go on with the account."""
        username = form.text("username").strip().removeprefix("@")
        remember = form.has("remember")
        # Passwords are guessed here as well as there.
        await visit.count("com.atproto.server.createSession", identifier=username)
        try:
            login = await self._check(visit, username, form.text("password"))
            await visit.rotate()
            return await self._password_is_right(visit, purpose, login, remember=remember)
        except (AccountError, TooBusy) as exc:
            problem = visit.gettext(str(exc))
            return self.show(visit, purpose, username=username, problem=problem, remember=remember)

    async def _password_is_right(
        self, visit: Visit, purpose: Purpose, login: Login, *, remember: bool
    ) -> web.StreamResponse:
        return await purpose.signed_in(visit, login, remember=remember)

    async def _check(self, visit: Visit, username: str, password: str) -> Login:
        login = await self._accounts.logins.check(username, password, asker=visit.asker)
        if login.app_password is not None:
            raise InvalidCredentials("App passwords are not allowed")
        return login
