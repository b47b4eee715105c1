"""The pages for a forgotten password: asking for a mail with a code, and using the code."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import structlog
from aiohttp import web

from database.errors import DatabaseError
from pds.accounts.account import ActorAccount
from pds.accounts.email_tokens import EmailTokenPurpose
from pds.accounts.errors import AccountError, InvalidPasswordLength
from pds.accounts.passwords import MIN_CHOSEN_LENGTH
from pds.fairness.turns import TooBusy
from pds.lifecycle.mailed_tokens import send_token
from pds.lifecycle.passwords import reset_password
from pds.mail.message import InvalidMail
from pds.mail.transport import MailNotSent
from pds.translations.language import deferred as _
from pds.web.pages.form import Form
from pds.web.pages.site import Site
from pds.web.pages.visit import Visit
from pds.web.sign_in.problems import NO_PROBLEM, Problem, problem_of

RESET_PATH: Final = "/account/reset-password"
_NEW_PATH: Final = f"{RESET_PATH}/new"

_log = structlog.get_logger(__name__)


def reset_routes(site: Site) -> Iterator[web.RouteDef]:
    """Yield the pages and their forms."""
    pages = ResetPages(site)
    yield site.get(RESET_PATH, pages.show)
    yield site.post(RESET_PATH, pages.send_code)
    yield site.get(_NEW_PATH, pages.show_new)
    yield site.post(_NEW_PATH, pages.set_password)


class ResetPages:
    """Pages that say the same about addresses that have an account here, and that have none."""

    def __init__(self, site: Site) -> None:
        self._ctx = site.ctx

    async def show(self, visit: Visit) -> web.StreamResponse:
        """Return the page that asks for the address."""
        return visit.page("sign_in/reset.html", email="")

    async def send_code(self, visit: Visit, form: Form) -> web.StreamResponse:
        """Mail a code to the address, if an account here has it."""
        await visit.count("com.atproto.server.requestPasswordReset")
        email = form.text("email").strip().lower()
        account = self._ctx.accounts.find_account_by_email(email, include_inactive=True)
        if account is not None:
            # After the answer: how long it takes would tell whether there is an account.
            self._send_later(account)
        notice = _("If an account here has this address, a mail with a code is on its way.")
        return visit.redirect(_NEW_PATH, notice=visit.gettext(notice))

    async def show_new(self, visit: Visit) -> web.StreamResponse:
        """Return the page that asks for the code and a new password."""
        return self._new_page(visit, code=visit.request.query.get("code", "")[:100])

    async def set_password(self, visit: Visit, form: Form) -> web.StreamResponse:
        """Set the new password, which ends all sessions."""
        await visit.count("com.atproto.server.resetPassword")
        code, password = form.text("code").strip(), form.text("password")
        try:
            if len(password) < MIN_CHOSEN_LENGTH:
                raise InvalidPasswordLength
            await reset_password(self._ctx, code, password, asker=visit.asker)
        except (AccountError, TooBusy) as exc:
            return self._new_page(visit, code=code, problem=problem_of(exc, visit.language))
        notice = _("Your password has been changed. Please sign in with the new one.")
        return visit.redirect("/account/sign-in", notice=visit.gettext(notice))

    def _send_later(self, account: ActorAccount) -> None:
        try:
            self._ctx.later.start(self._send(account))
        except TooBusy:
            # The page says the same as ever, or it would say that there is an account.
            _log.error("a mail for a new password was not sent", did=account.did, reason="busy")

    async def _send(self, account: ActorAccount) -> None:
        try:
            await send_token(self._ctx, account, EmailTokenPurpose.RESET_PASSWORD)
        except (AccountError, DatabaseError, InvalidMail, MailNotSent) as exc:
            _log.error("a mail for a new password was not sent", did=account.did, reason=str(exc))

    def _new_page(
        self, visit: Visit, *, code: str, problem: Problem = NO_PROBLEM
    ) -> web.StreamResponse:
        return visit.page(
            "sign_in/reset_new.html",
            code=code,
            problem=problem,
            min_password_length=MIN_CHOSEN_LENGTH,
        )
