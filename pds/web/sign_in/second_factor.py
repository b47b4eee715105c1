"""The page that asks for a second factor, and signing in with a passkey instead of a password.

The page is the same whatever factors the account has: whoever has found out a password learns
nothing from it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol

from aiohttp import web

from pds.accounts.account import ActorAccount
from pds.accounts.errors import AccountError, AccountNotFound, AccountTakendown
from pds.accounts.logins import Login
from pds.lifecycle.second_factors import mail_code
from pds.second_factors.errors import (
    AddressNotConfirmed,
    AppExists,
    PasskeyCopied,
    PasskeyRefused,
    SecondFactorError,
    TooManyPasskeys,
    TooManyWrongCodes,
    WrongCode,
)
from pds.second_factors.trusted_browsers import LIFETIME_S
from pds.second_factors.waiting import Waiting
from pds.translations.language import deferred as _
from pds.web.pages.cookies import set_cookie
from pds.web.pages.form import Form
from pds.web.pages.shared import Shared
from pds.web.pages.visit import Visit
from pds.web.sign_in.passkey_script import PASSKEY_SCRIPT
from pds.web.sign_in.problems import problem_of as account_problem
from pds.web.sign_in.purpose import Purpose
from repo.syntax import Did

TRUST_COOKIE: Final = "trust"
_LIKE: Final = "com.atproto.server.createSession"
AGAIN: Final = _("That took too long. Please sign in again.")
_MAILED: Final = _(
    "If this account gets codes by mail, one is on its way. It may take a minute to arrive."
)
PROBLEMS: Final[Mapping[type[SecondFactorError], str]] = {
    WrongCode: _("This code is wrong, has expired, or was used before."),
    TooManyWrongCodes: _(
        "There were too many wrong codes. Use a recovery code, a mailed code or a passkey, or try "
        "again in an hour."
    ),
    PasskeyCopied: _(
        "This passkey may have been copied. Sign in another way, remove it, and set up a new one."
    ),
    PasskeyRefused: _("This passkey was not accepted. Try again, or sign in another way."),
    TooManyPasskeys: _("You have as many passkeys as an account can have."),
    AppExists: _("You have an authenticator app already. Remove it before you set up another."),
    AddressNotConfirmed: _("Confirm your e-mail address to get codes by mail."),
}


class Back(Protocol):
    """Shows the page that asks for the password."""

    def __call__(
        self, visit: Visit, purpose: Purpose, *, problem: str = ""
    ) -> web.StreamResponse: ...


def problem_of(visit: Visit, exc: SecondFactorError) -> str:
    """Return what a person is told about an error, in the person's language."""
    return visit.gettext(next(PROBLEMS[kind] for kind in type(exc).__mro__ if kind in PROBLEMS))


async def let_in_again(
    visit: Visit, purpose: Purpose, login: Login, back: Back, *, remember: bool
) -> web.StreamResponse:
    """Go on with an account whose password was right when a page was made, if it still is."""
    try:
        # The password may have been changed, or the account taken down, while the page waited.
        visit.site.ctx.accounts.sessions.check_still_right(login)
        return await _let_in(visit, purpose, login, remember=remember)
    except AccountError as exc:
        return back(visit, purpose, problem=account_problem(exc, visit.language).text)


async def _let_in(
    visit: Visit, purpose: Purpose, login: Login, *, remember: bool
) -> web.StreamResponse:
    if login.account.takedown_ref is not None:
        raise AccountTakendown
    await visit.rotate()
    return await purpose.signed_in(visit, login, remember=remember)


class SecondFactorPage:
    """Finishes sign-ins whose password was right, for any purpose."""

    def __init__(self, site: Shared, back: Back) -> None:
        self._site = site
        self._ctx = site.ctx
        self._factors = site.ctx.second_factors
        self._back = back

    async def password_is_right(
        self, visit: Visit, purpose: Purpose, login: Login, *, remember: bool
    ) -> web.StreamResponse:
        """Go on with the account, or ask for its second factor. Raises `AccountError`."""
        did = login.account.did
        trusted = self._factors.trusted.is_trusted(did, visit.request.cookies.get(TRUST_COOKIE))
        if trusted or not self._factors.needed(did):
            return await purpose.signed_in(visit, login, remember=remember)
        await mail_code(self._ctx, login.account)
        return self._show(visit, purpose, Waiting(did, login.valid_from, remember))

    async def check(self, visit: Visit, purpose: Purpose, form: Form) -> web.StreamResponse:
        """Check a code of whichever kind, and go on with the account."""

        async def check(did: Did) -> None:
            code = form.text("code")
            await self._factors.check_code(did, code, place=visit.asker.who)

        return await self._finish(visit, purpose, form, check)

    async def check_passkey(self, visit: Visit, purpose: Purpose, form: Form) -> web.StreamResponse:
        """Check the answer of a passkey, and go on with the account."""

        async def check(did: Did) -> None:
            await self._factors.check_passkey(did, visit.device.id, form.text("answer"))

        return await self._finish(visit, purpose, form, check)

    async def mail(self, visit: Visit, purpose: Purpose, form: Form) -> web.StreamResponse:
        """Mail a code, if the account gets codes by mail, which the page does not tell."""
        waiting = self._read(visit, form)
        login = None if waiting is None else self._login_of(waiting)
        if waiting is None or login is None:
            return self._back(visit, purpose, problem=visit.gettext(AGAIN))
        await visit.count(_LIKE, identifier=waiting.did)
        await mail_code(self._ctx, login.account)
        return self._show(
            visit, purpose, waiting, said=visit.gettext(_MAILED), trust=form.has("trust")
        )

    async def passkey_alone(self, visit: Visit, purpose: Purpose, form: Form) -> web.StreamResponse:
        """Sign in with a passkey that has verified its owner. Raises `AccountError`."""
        await visit.count(_LIKE, identifier="")
        try:
            did = await self._factors.sign_in_with_passkey(visit.device.id, form.text("answer"))
        except PasskeyRefused as exc:
            return self._back(visit, purpose, problem=problem_of(visit, exc))
        valid_from = self._ctx.accounts.access_cutoffs.find(did)
        login = self._login_of(Waiting(did, valid_from, form.has("remember")))
        if login is None:
            raise AccountNotFound
        return await _let_in(visit, purpose, login, remember=form.has("remember"))

    async def _finish(
        self, visit: Visit, purpose: Purpose, form: Form, check: Callable[[Did], Awaitable[None]]
    ) -> web.StreamResponse:
        waiting = self._read(visit, form)
        login = None if waiting is None else self._login_of(waiting)
        if waiting is None or login is None:
            return self._back(visit, purpose, problem=visit.gettext(AGAIN))
        await visit.count(_LIKE, identifier=waiting.did)
        try:
            await check(waiting.did)
        except SecondFactorError as exc:
            problem = problem_of(visit, exc)
            return self._show(visit, purpose, waiting, problem=problem, trust=form.has("trust"))
        response = await let_in_again(visit, purpose, login, self._back, remember=waiting.remember)
        if form.has("trust"):
            await self._trust(visit, waiting.did, response)
        return response

    def _show(
        self,
        visit: Visit,
        purpose: Purpose,
        waiting: Waiting,
        *,
        problem: str = "",
        said: str = "",
        trust: bool = False,
    ) -> web.StreamResponse:
        return purpose.page(
            visit,
            "sign_in/second_factor.html",
            script=PASSKEY_SCRIPT,
            waiting=self._factors.waiting.sign(waiting, visit.device.id),
            passkey=self._factors.passkeys.options_to_sign_in(visit.device.id, waiting.did),
            required=self._factors.required,
            problem=problem,
            said=said,
            trust=trust,
        )

    async def _trust(self, visit: Visit, did: Did, response: web.StreamResponse) -> None:
        cookie = await self._factors.trusted.trust(
            did,
            visit.request.cookies.get(TRUST_COOKIE),
            user_agent=visit.visitor.user_agent,
            ip_address=visit.visitor.ip_address,
        )
        set_cookie(
            response, TRUST_COOKIE, cookie, secure=self._site.is_secure, max_age_s=LIFETIME_S
        )

    def _read(self, visit: Visit, form: Form) -> Waiting | None:
        return self._factors.waiting.read(form.text("waiting"), visit.device.id)

    def _login_of(self, waiting: Waiting) -> Login | None:
        account: ActorAccount | None = self._ctx.accounts.find_account(
            waiting.did, include_inactive=True
        )
        return None if account is None else Login(account, None, waiting.valid_from)
