"""Setting up an authenticator app: the QR code, and the first code of the app."""

from __future__ import annotations

from aiohttp import web

from pds.lifecycle.second_factors import FactorChange, tell_owner
from pds.second_factors.errors import SecondFactorError
from pds.web.account.factors.overview import FACTORS_PATH, Overview
from pds.web.account.session import People, Person
from pds.web.pages.form import Form
from pds.web.pages.visit import Visit
from pds.web.sign_in.app_key import AppKey
from pds.web.sign_in.second_factor import problem_of


class AppPages:
    """The page with the secret. The secret is sealed in its form until a code confirms it."""

    def __init__(self, people: People, overview: Overview) -> None:
        self._issuer = people.site.ctx.settings.service_name
        self._factors = people.site.ctx.second_factors
        self._overview = overview

    async def show(self, visit: Visit, person: Person) -> web.StreamResponse:
        """Return the page with a new secret."""
        if self._factors.apps.since(person.account.did) is not None:
            return visit.redirect(FACTORS_PATH)
        return self._page(visit, person, *self._factors.apps.offer(person.account.did))

    async def set_up(self, visit: Visit, person: Person, form: Form) -> web.StreamResponse:
        """Store the secret, if the app shows a right code."""
        did, offer = person.account.did, form.text("offer")
        secret = self._factors.apps.offered(did, offer)
        if secret is None:
            return visit.redirect(f"{FACTORS_PATH}/app")
        code = form.text("code").replace(" ", "")
        try:
            codes = await self._factors.set_up_app(did, secret, code)
        except SecondFactorError as exc:
            return self._page(visit, person, secret, offer, problem=problem_of(visit, exc))
        tell_owner(visit.site.ctx, person.account, FactorChange.APP_SET_UP)
        notice = visit.gettext("Your authenticator app is set up.")
        return self._overview.after(visit, person, codes, notice)

    def _page(
        self, visit: Visit, person: Person, secret: str, offer: str, *, problem: str = ""
    ) -> web.StreamResponse:
        account = person.account
        name = account.handle or account.did
        return visit.page(
            "factors/app.html",
            path=FACTORS_PATH,
            account=account,
            fields=visit.hidden(account=account.did),
            key=AppKey.of(secret, offer, account=name, issuer=self._issuer),
            problem=problem,
        )
