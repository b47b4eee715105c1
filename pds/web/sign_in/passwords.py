"""The page that asks for the password."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aiohttp import web

from pds.accounts.errors import AccountError, InvalidCredentials
from pds.fairness.turns import TooBusy
from pds.translations.language import deferred as _
from pds.web.pages.form import Form
from pds.web.pages.shared import Shared
from pds.web.pages.visit import Visit
from pds.web.sign_in.passkey_script import PASSKEY_SCRIPT
from pds.web.sign_in.problems import problem_of
from pds.web.sign_in.purpose import Purpose, Step
from pds.web.sign_in.second_factor import SecondFactorPage

_WRONG: Final = _("The password is wrong, or there is no account of this name here.")
_APP_PASSWORD: Final = _("This is an app password. Sign in with the password of the account.")


class PasswordPage:
    """Signs people in by their password, for any purpose."""

    def __init__(self, site: Shared) -> None:
        self._accounts = site.ctx.accounts
        self._passkeys = site.ctx.second_factors.passkeys
        self._second_factor = SecondFactorPage(site, self.show)

    def steps(self) -> Mapping[str, Step]:
        """Return what the forms of these pages do, by their paths below that of the purpose."""
        second = self._second_factor
        return {
            "sign-in": self.sign_in,
            "passkey": self.passkey,
            "second-factor": second.check,
            "second-factor/passkey": second.check_passkey,
            "second-factor/mail": second.mail,
        }

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
            script=PASSKEY_SCRIPT,
            passkey=self._passkeys.options_to_sign_in(visit.device.id, None),
            username=username,
            problem=problem,
            remember=remember,
        )

    async def sign_in(self, visit: Visit, purpose: Purpose, form: Form) -> web.StreamResponse:
        """Check the password, and go on with the account."""
        username = form.text("username").strip().removeprefix("@")
        remember = form.has("remember")

        def again(problem: str) -> web.StreamResponse:
            return self.show(visit, purpose, username=username, problem=problem, remember=remember)

        # Passwords are guessed here as well as there.
        await visit.count("com.atproto.server.createSession", identifier=username)
        try:
            login = await self._accounts.logins.check(
                username, form.text("password"), asker=visit.asker
            )
            if login.app_password is not None:
                return again(visit.gettext(_APP_PASSWORD))
            await visit.rotate()
            return await self._second_factor.password_is_right(
                visit, purpose, login, remember=remember
            )
        except InvalidCredentials:
            return again(visit.gettext(_WRONG))
        except (AccountError, TooBusy) as exc:
            return again(problem_of(exc, visit.language).text)

    async def passkey(self, visit: Visit, purpose: Purpose, form: Form) -> web.StreamResponse:
        """Go on with the account whose passkey the browser has shown."""
        try:
            return await self._second_factor.passkey_alone(visit, purpose, form)
        except AccountError as exc:
            return self.show(visit, purpose, problem=problem_of(exc, visit.language).text)
