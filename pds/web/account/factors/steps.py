"""What the forms of the page about second factors do."""

from __future__ import annotations

from aiohttp import web

from pds.lifecycle.second_factors import FactorChange, tell_owner
from pds.second_factors.errors import SecondFactorError
from pds.web.account.factors.overview import FACTORS_PATH, Overview
from pds.web.account.session import Person
from pds.web.pages.form import Form
from pds.web.pages.shared import Shared
from pds.web.pages.visit import Visit
from pds.web.sign_in.second_factor import problem_of


class FactorSteps:
    """Each step answers with the page again, and says on it what it has done."""

    def __init__(self, site: Shared, overview: Overview) -> None:
        self._ctx = site.ctx
        self._factors = site.ctx.second_factors
        self._overview = overview

    async def remove_app(self, visit: Visit, person: Person, _form: Form) -> web.StreamResponse:
        """Forget the authenticator app."""
        await self._factors.remove_app(person.account.did)
        self._tell(person, FactorChange.APP_REMOVED)
        return visit.redirect(FACTORS_PATH, visit.gettext("Your authenticator app is removed."))

    async def add_passkey(self, visit: Visit, person: Person, form: Form) -> web.StreamResponse:
        """Store the passkey that the browser has made."""
        did, answer, name = person.account.did, form.text("answer"), form.text("name")
        try:
            codes = await self._factors.add_passkey(did, visit.device.id, answer, name=name)
        except SecondFactorError as exc:
            problem = problem_of(visit, exc)
            return self._overview.page(visit, person, problem=problem, about="passkeys")
        self._tell(person, FactorChange.PASSKEY_SET_UP)
        return self._overview.after(visit, person, codes, visit.gettext("Your passkey is set up."))

    async def remove_passkey(self, visit: Visit, person: Person, form: Form) -> web.StreamResponse:
        """Forget a passkey."""
        try:
            passkey_id = bytes.fromhex(form.text("passkey"))
        except ValueError:
            return visit.redirect(FACTORS_PATH)
        await self._factors.remove_passkey(person.account.did, passkey_id)
        self._tell(person, FactorChange.PASSKEY_REMOVED)
        return visit.redirect(FACTORS_PATH, visit.gettext("The passkey is removed."))

    async def turn_on_mail(self, visit: Visit, person: Person, _form: Form) -> web.StreamResponse:
        """Turn codes by mail on."""
        did = person.account.did
        try:
            await self._factors.turn_on_mail(did)
        except SecondFactorError as exc:
            problem = problem_of(visit, exc)
            return self._overview.page(visit, person, problem=problem, about="mail")
        self._tell(person, FactorChange.MAIL_ON)
        has_codes = self._factors.of(did).recovery_codes > 0
        codes = () if has_codes else await self._factors.renew_recovery_codes(did)
        return self._overview.after(
            visit, person, codes, visit.gettext("Codes by mail are turned on.")
        )

    async def turn_off_mail(self, visit: Visit, person: Person, _form: Form) -> web.StreamResponse:
        """Turn codes by mail off."""
        await self._factors.turn_off_mail(person.account.did)
        self._tell(person, FactorChange.MAIL_OFF)
        return visit.redirect(FACTORS_PATH, visit.gettext("Codes by mail are turned off."))

    async def renew_codes(self, visit: Visit, person: Person, _form: Form) -> web.StreamResponse:
        """Show new recovery codes; those before are void."""
        did = person.account.did
        if not self._factors.of(did).any:
            return visit.redirect(FACTORS_PATH)
        codes = await self._factors.renew_recovery_codes(did)
        self._tell(person, FactorChange.CODES_RENEWED)
        notice = visit.gettext("Your earlier recovery codes do not work any longer.")
        return self._overview.after(visit, person, codes, notice)

    async def forget_browser(self, visit: Visit, person: Person, form: Form) -> web.StreamResponse:
        """Trust a browser no longer."""
        await self._factors.trusted.forget(person.account.did, form.text("browser"))
        return visit.redirect(FACTORS_PATH, visit.gettext("That browser is asked again."))

    def _tell(self, person: Person, change: FactorChange) -> None:
        tell_owner(self._ctx, person.account, change)
