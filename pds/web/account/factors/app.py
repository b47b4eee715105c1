"""Setting up an authenticator app: the QR code, and the first code of the app."""

from __future__ import annotations

from io import BytesIO

import segno
from aiohttp import hdrs, web

from pds.accounts.account import ActorAccount
from pds.lifecycle.second_factors import FactorChange, tell_owner
from pds.second_factors.errors import SecondFactorError
from pds.second_factors.totp import provisioning_uri
from pds.web.account.factors.overview import FACTORS_PATH, Overview
from pds.web.account.session import People, Person
from pds.web.pages.cookies import visitor_of
from pds.web.pages.form import Form
from pds.web.pages.rendering import page_headers
from pds.web.pages.visit import Visit
from pds.web.sign_in.second_factor import problem_of


class AppPages:
    """The page with the secret. The secret is sealed in its form until a code confirms it."""

    def __init__(self, people: People, overview: Overview) -> None:
        self._people = people
        self._issuer = people.site.ctx.settings.service_name
        self._factors = people.site.ctx.second_factors
        self._overview = overview

    async def show(self, visit: Visit, person: Person) -> web.StreamResponse:
        """Return the page with a new secret."""
        if self._factors.apps.since(person.account.did) is not None:
            return visit.redirect(FACTORS_PATH)
        return self._page(visit, person, *self._factors.apps.offer(person.account.did))

    async def draw(self, request: web.Request) -> web.Response:
        """Return the QR code of a secret that is on offer to somebody who is signed in here."""
        device_id = self._people.site.devices.find(
            visitor_of(self._people.site.ctx, request, secure=self._people.site.is_secure)
        )
        offer = request.query.get("offer", "")
        sign_ins = () if device_id is None else self._people.oauth.sign_ins.of_device(device_id)
        for one in sign_ins:
            secret = self._factors.apps.offered(one.did, offer)
            if secret is not None:
                account = self._people.site.ctx.accounts.store.get(one.did)
                return _picture(self._uri(account, secret))
        raise web.HTTPNotFound

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
        return visit.page(
            "factors/app.html",
            status=400 if problem else 200,
            path=FACTORS_PATH,
            account=person.account,
            fields=visit.hidden(account=person.account.did, offer=offer),
            offer=offer,
            secret=" ".join(secret[at : at + 4] for at in range(0, len(secret), 4)),
            uri=self._uri(person.account, secret),
            problem=problem,
        )

    def _uri(self, account: ActorAccount, secret: str) -> str:
        return provisioning_uri(secret, account=account.handle or account.did, issuer=self._issuer)


def _picture(uri: str) -> web.Response:
    out = BytesIO()
    # On white with a wide margin, in dark mode as well: cameras need it.
    segno.make(uri, error="m", micro=False).save(
        out, kind="svg", scale=4, border=4, light="#fff", svgclass=None, lineclass=None
    )
    headers = page_headers() | {
        hdrs.CACHE_CONTROL: "no-store",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    return web.Response(body=out.getvalue(), content_type="image/svg+xml", headers=headers)
