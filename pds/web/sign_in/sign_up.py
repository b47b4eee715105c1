"""The page for signing up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import structlog
from aiohttp import web

from identity.plc import PlcError
from pds.accounts.errors import AccountError, InvalidPasswordLength
from pds.accounts.logins import Login
from pds.accounts.passwords import MIN_CHOSEN_LENGTH
from pds.fairness.turns import TooBusy
from pds.lifecycle.errors import NoSignups
from pds.lifecycle.signup import Signup, check_signup, create_account
from pds.translations.language import deferred as _
from pds.web.pages.errors import PageError
from pds.web.pages.form import Form
from pds.web.pages.shared import Shared
from pds.web.pages.visit import Visit
from pds.web.sign_in.captcha import FIELD, ORIGINS, SCRIPT, Captcha, CaptchaUnavailable
from pds.web.sign_in.problems import NO_PROBLEM, Problem, problem_of
from pds.web.sign_in.purpose import Purpose, Step
from pds.web.sign_in.second_factor import Back
from pds.web.sign_in.set_up import SetUpPage

_KEPT: Final = ("handle", "domain", "email", "invite")
"""The fields whose values come back with an error; a password does not."""

_log = structlog.get_logger(__name__)


class SignUpPage:
    """Creates accounts, for any purpose."""

    def __init__(self, site: Shared, back: Back) -> None:
        """`back` shows the page that asks for the password, where a next step took too long."""
        self._ctx = site.ctx
        self._set_up = SetUpPage(site, back)
        self._captcha = Captcha.of(site.ctx.settings, site.ctx.proxy_http)

    def steps(self) -> Mapping[str, Step]:
        """Return what the forms of these pages do, by their paths below that of the purpose."""
        return {"sign-up": self.sign_up, **self._set_up.steps()}

    def show(
        self,
        visit: Visit,
        purpose: Purpose,
        *,
        form: Form | None = None,
        problem: Problem = NO_PROBLEM,
    ) -> web.StreamResponse:
        """Return the page, with what was typed into `form` and is wrong there."""
        settings = self._ctx.settings
        if settings.hold.only:
            raise PageError(403, "This server has no accounts for people.")
        return purpose.page(
            visit,
            "sign_in/sign_up.html",
            problem=problem,
            values={name: "" if form is None else form.text(name) for name in _KEPT},
            domains=settings.service_handle_domains,
            needs_invite=settings.invites.required,
            min_password_length=MIN_CHOSEN_LENGTH,
            terms=settings.service.terms_of_service_url,
            privacy=settings.service.privacy_policy_url,
            captcha=self._captcha and {"site_key": self._captcha.site_key, "script": SCRIPT},
            loads_from=ORIGINS if self._captcha else (),
        )

    async def sign_up(self, visit: Visit, purpose: Purpose, form: Form) -> web.StreamResponse:
        """Create the account and go on with it, or with its second factor if one is required."""
        await visit.count("com.atproto.server.createAccount")
        try:
            problem = await self._refusal(visit, form)
            if problem:
                return self.show(visit, purpose, form=form, problem=Problem(visit.gettext(problem)))
            login = await self._create(visit, form)
        except (AccountError, TooBusy) as exc:
            return self.show(visit, purpose, form=form, problem=problem_of(exc, visit.language))
        except NoSignups as exc:
            raise PageError(403, "This server has no accounts for people.") from exc
        except PlcError as exc:
            _log.error("an account cannot be created", reason=str(exc))
            problem = visit.gettext(_("No identity can be made just now. Please try again later."))
            return self.show(visit, purpose, form=form, problem=Problem(problem))
        await visit.rotate()
        if self._ctx.second_factors.required:
            return self._set_up.show(visit, purpose, login)
        return await purpose.signed_in(visit, login, remember=True)

    async def _refusal(self, visit: Visit, form: Form) -> str:
        """Return why nothing is even tried; empty if all is well. In English."""
        service = self._ctx.settings.service
        if (service.terms_of_service_url or service.privacy_policy_url) and not form.has("agree"):
            return _("Please agree to the terms first.")
        if self._captcha is None:
            return ""
        address = visit.visitor.ip_address
        try:
            is_solved = await self._captcha.is_solved(form.values(FIELD), address)
        except CaptchaUnavailable:
            return _("The captcha cannot be checked just now. Please try again later.")
        return "" if is_solved else _("Please solve the captcha.")

    async def _create(self, visit: Visit, form: Form) -> Login:
        ctx, password = self._ctx, form.text("password")
        if len(password) < MIN_CHOSEN_LENGTH:
            raise InvalidPasswordLength
        email, code = form.text("email").strip(), form.text("invite").strip() or None
        label = form.text("handle").strip().removeprefix("@").lower()
        domains = ctx.settings.service_handle_domains
        domain = form.text("domain") if form.text("domain") in domains else domains[0]
        # People type the whole handle, too.
        handle = label if label.endswith(domain) else label + domain
        checked = check_signup(ctx, handle=handle, email=email, password=password, invite_code=code)
        session = await create_account(
            ctx,
            Signup(checked, email=email, password=password, invite_code=code, asker=visit.asker),
        )
        # The browser keeps no tokens, so nobody has those of this session.
        await ctx.accounts.sessions.end_first(session)
        valid_from = ctx.accounts.access_cutoffs.find(session.did)
        return Login(ctx.accounts.get_account(session.did), None, valid_from)
