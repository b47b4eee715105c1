"""Setting up an authenticator app: the QR code, and the first code of the app."""

from __future__ import annotations

from io import BytesIO

import segno
from aiohttp import hdrs, web

from pds.second_factors.errors import SecondFactorError
from pds.second_factors.totp import provisioning_uri
from pds.web.account.factors.overview import FACTORS_PATH, Overview
from pds.web.account.session import Person
from pds.web.pages.errors import PageError
from pds.web.pages.form import Form
from pds.web.pages.rendering import page_headers
from pds.web.pages.shared import Shared
from pds.web.pages.visit import Visit
from pds.web.sign_in.second_factor import problem_of


class AppPages:
    """The page with the secret. The secret is sealed in its form until a code confirms it."""

    def __init__(self, site: Shared, overview: Overview) -> None:
        self._issuer = site.ctx.settings.service_name
        self._factors = site.ctx.second_factors
        self._overview = overview

    async def show(self, visit: Visit, person: Person) -> web.StreamResponse:
        """Return the page with a new secret."""
        if self._factors.apps.since(person.account.did) is not None:
            return visit.redirect(FACTORS_PATH)
        return self._page(visit, person, *self._factors.apps.offer(person.account.did))

    async def draw(self, visit: Visit, person: Person) -> web.StreamResponse:
        """Return the QR code of a secret that is on offer to this person."""
        secret = self._factors.apps.offered(
            person.account.did, visit.request.query.get("offer", "")
        )
        if secret is None:
            raise PageError(404, "There is no such picture.")
        out = BytesIO()
        code = segno.make(self._uri(person, secret), error="m", micro=False)
        # On white with a wide margin, in dark mode as well: cameras need it.
        code.save(out, kind="svg", scale=4, border=4, light="#fff", svgclass=None, lineclass=None)
        headers = page_headers() | {hdrs.CACHE_CONTROL: "no-store"}
        return web.Response(body=out.getvalue(), content_type="image/svg+xml", headers=headers)

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
        notice = visit.gettext("Your authenticator app is set up.")
        return self._overview.after(visit, person, codes, notice)

    def _page(
        self, visit: Visit, person: Person, secret: str, offer: str, *, problem: str = ""
    ) -> web.StreamResponse:
        return visit.page(
            "factors/app.html",
            status=400 if problem else 200,
            path=FACTORS_PATH,
            fields=visit.hidden(account=person.account.did, offer=offer),
            offer=offer,
            secret=" ".join(secret[at : at + 4] for at in range(0, len(secret), 4)),
            uri=self._uri(person, secret),
            problem=problem,
        )

    def _uri(self, person: Person, secret: str) -> str:
        account = person.account
        return provisioning_uri(secret, account=account.handle or account.did, issuer=self._issuer)
