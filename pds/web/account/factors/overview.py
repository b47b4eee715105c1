"""The page `/account/factors`: which second factors there are, and what can be done with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aiohttp import web

from pds.second_factors.passkeys import MAX_EACH
from pds.second_factors.second_factors import Factors
from pds.second_factors.trusted_browsers import TrustedBrowser
from pds.web.account.session import Person
from pds.web.pages.browser_names import shown_browser
from pds.web.pages.shared import Shared
from pds.web.pages.strangers_texts import on_one_line
from pds.web.pages.visit import Visit
from pds.web.sign_in.passkey_script import PASSKEY_SCRIPT

FACTORS_PATH: Final = "/account/factors"
_NAME_CHARACTERS: Final = 120


class Overview:
    """Renders the page, and the one that shows recovery codes."""

    def __init__(self, site: Shared) -> None:
        self._factors = site.ctx.second_factors

    async def show(self, visit: Visit, person: Person) -> web.StreamResponse:
        """Return the page."""
        return self.page(visit, person)

    async def back(self, visit: Visit, _person: Person) -> web.StreamResponse:
        """Send the browser to the page."""
        return visit.redirect(FACTORS_PATH)

    def page(
        self, visit: Visit, person: Person, *, problem: str = "", about: str = ""
    ) -> web.StreamResponse:
        """Return the page; a problem is shown at the section that it is `about`."""
        account = person.account
        factors = self._factors.of(account.did)
        options = self._factors.passkey_options(account, visit.device.id)
        return visit.page(
            "factors/overview.html",
            script=PASSKEY_SCRIPT,
            path=FACTORS_PATH,
            fields=visit.hidden(account=account.did),
            account=account,
            factors=factors,
            code_address=self._factors.addresses.of(account),
            required=self._factors.required,
            passkeys=_passkeys(factors),
            passkey=options if len(factors.passkeys) < MAX_EACH else "",
            browsers=_browsers(visit, self._factors.trusted.list(account.did)),
            problem=problem,
            about=about,
        )

    def after(
        self, visit: Visit, person: Person, codes: Sequence[str], notice: str
    ) -> web.StreamResponse:
        """Show new recovery codes if there are any, else the overview with a notice."""
        if not codes:
            return visit.redirect(FACTORS_PATH, notice)
        return visit.page(
            "factors/codes.html",
            path=FACTORS_PATH,
            account=person.account,
            codes=codes,
            done=notice,
        )


def _passkeys(factors: Factors) -> list[dict[str, str]]:
    return [
        {
            "id": one.id.hex(),
            "name": on_one_line(one.name, _NAME_CHARACTERS),
            "created": one.created_at[:10],
            "used": (one.used_at or "")[:10],
        }
        for one in factors.passkeys
    ]


def _browsers(visit: Visit, trusted: Sequence[TrustedBrowser]) -> list[dict[str, str]]:
    return [
        {
            "id": one.id,
            "agent": shown_browser(one.user_agent or "", visit.language),
            "address": one.ip_address,
            "until": one.expires_at[:10],
        }
        for one in trusted
    ]
