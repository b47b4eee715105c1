"""Setting up a second factor right after signing up, where the operator requires one.

Until then the browser is not signed in. A form has, signed, whose account is new: it is of use in
this browser only, and until the session id changes, as it does when the person gets on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TypeAlias

from aiohttp import web
from markupsafe import Markup

from pds.accounts.logins import Login
from pds.lifecycle.second_factors import FactorChange, tell_owner
from pds.rate_limits.method_limits import FACTOR_CHANGES
from pds.second_factors.errors import SecondFactorError, WrongCode
from pds.second_factors.waiting import Waiting
from pds.web.pages.form import Form
from pds.web.pages.shared import Shared
from pds.web.pages.visit import Visit
from pds.web.sign_in.app_key import AppKey
from pds.web.sign_in.passkey_script import PASSKEY_SCRIPT
from pds.web.sign_in.purpose import Purpose, Step
from pds.web.sign_in.second_factor import AGAIN, Back, let_in_again, problem_of
from repo.syntax import Did

_Done: TypeAlias = tuple[Sequence[str], FactorChange]
_SetUp: TypeAlias = Callable[[Visit, Did, Form], Awaitable[_Done]]


class SetUpPage:
    """The step between signing up and going on, for any purpose."""

    def __init__(self, site: Shared, back: Back) -> None:
        self._ctx = site.ctx
        self._factors = site.ctx.second_factors
        self._back = back

    def steps(self) -> Mapping[str, Step]:
        """Return what the forms of these pages do, by their paths below that of the purpose."""
        return {
            "set-up/app": partial(self._set_up, self._app),
            "set-up/passkey": partial(self._set_up, self._passkey),
            "set-up/done": self.done,
        }

    def show(self, visit: Visit, purpose: Purpose, login: Login) -> web.StreamResponse:
        """Return the page, for the owner of an account that was just created."""
        return self._page(visit, purpose, login)

    async def done(self, visit: Visit, purpose: Purpose, form: Form) -> web.StreamResponse:
        """Go on with the account, if it has a factor now."""
        login = self._login_of(visit, form)
        if login is None:
            return self._back(visit, purpose, problem=visit.gettext(AGAIN))
        if not self._factors.of(login.account.did).any:
            return self.show(visit, purpose, login)
        return await let_in_again(visit, purpose, login, self._back, remember=True)

    async def _set_up(
        self, set_up: _SetUp, visit: Visit, purpose: Purpose, form: Form
    ) -> web.StreamResponse:
        """Set up a factor, and show recovery codes."""
        login = self._login_of(visit, form)
        if login is None:
            return self._back(visit, purpose, problem=visit.gettext(AGAIN))
        did = login.account.did
        await visit.count(FACTOR_CHANGES, caller=did)
        if self._factors.of(did).any:
            # The form was sent twice, and nobody has seen the codes of the first answer.
            renewed = await self._factors.renew_recovery_codes(did)
            return self._codes(visit, purpose, login, renewed)
        try:
            codes, change = await set_up(visit, did, form)
        except SecondFactorError as exc:
            problem, offer = problem_of(visit, exc), form.text("offer")
            return self._page(visit, purpose, login, problem=problem, offer=offer)
        tell_owner(self._ctx, login.account, change)
        return self._codes(visit, purpose, login, codes)

    async def _app(self, visit: Visit, did: Did, form: Form) -> _Done:
        secret = self._factors.apps.offered(did, form.text("offer"))
        if secret is None:
            raise WrongCode
        code = form.text("code").replace(" ", "")
        return await self._factors.set_up_app(did, secret, code), FactorChange.APP_SET_UP

    async def _passkey(self, visit: Visit, did: Did, form: Form) -> _Done:
        answer, name = form.text("answer"), form.text("name")
        codes = await self._factors.add_passkey(did, visit.device.id, answer, name=name)
        return codes, FactorChange.PASSKEY_SET_UP

    def _page(
        self, visit: Visit, purpose: Purpose, login: Login, *, problem: str = "", offer: str = ""
    ) -> web.StreamResponse:
        """Return the page; a problem is that of the app whose key is on `offer`, or a passkey's."""
        account, factors = login.account, self._factors
        secret, is_about_app = factors.apps.offered(account.did, offer), bool(offer)
        if secret is None:
            secret, offer = factors.apps.offer(account.did)
        name = account.handle or account.did
        issuer = self._ctx.settings.service_name
        return purpose.page(
            visit,
            "sign_in/set_up.html",
            script=PASSKEY_SCRIPT,
            waiting=self._sign(visit, login),
            key=AppKey.of(secret, offer, account=name, issuer=issuer),
            passkey=factors.passkey_options(account, visit.device.id),
            problem=problem,
            is_about_app=is_about_app,
        )

    def _codes(
        self, visit: Visit, purpose: Purpose, login: Login, codes: Sequence[str]
    ) -> web.StreamResponse:
        waiting = self._sign(visit, login)
        return purpose.page(visit, "sign_in/recovery_codes.html", codes=codes, waiting=waiting)

    def _sign(self, visit: Visit, login: Login) -> Markup:
        waiting = Waiting(login.account.did, login.valid_from, remember=True)
        text = self._factors.new_accounts.sign(waiting, visit.device.session_id)
        return Markup('<input type="hidden" name="waiting" value="{}">').format(text)

    def _login_of(self, visit: Visit, form: Form) -> Login | None:
        session_id = visit.visitor.session_id or ""
        waiting = self._factors.new_accounts.read(form.text("waiting"), session_id)
        if waiting is None:
            return None
        account = self._ctx.accounts.find_account(waiting.did, include_inactive=True)
        return None if account is None else Login(account, None, waiting.valid_from)
