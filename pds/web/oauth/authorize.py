"""The authorization endpoint: the pages on which a person signs in, chooses an account and agrees.

Every step is a form, so that nothing needs scripts. The request itself is in the database.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeAlias

from aiohttp import web

from pds.accounts.account import ActorAccount
from pds.accounts.logins import Login
from pds.oauth.authorization import Asking, Authorization, Granted, SignedIn
from pds.oauth.errors import AccessDenied, OAuthError
from pds.oauth.provider import OAuth
from pds.oauth.requests.payload import read_query
from pds.translations.language import deferred as _
from pds.web.oauth.answers import ClientAnswer, send_to_client
from pds.web.oauth.documents import AUTHORIZE_PATH
from pds.web.oauth.logos import ClientLogos
from pds.web.oauth.payload import parse_form
from pds.web.oauth.request_pages import RequestPages
from pds.web.pages.errors import PageError
from pds.web.pages.form import Form
from pds.web.pages.site import Site
from pds.web.pages.visit import Visit
from pds.web.sign_in.passwords import PasswordPage
from pds.web.sign_in.purpose import Purpose, Step
from pds.web.sign_in.sign_up import SignUpPage

_Step: TypeAlias = Callable[[Visit, Asking, Form], Awaitable[web.StreamResponse]]

_BACK_TO_APP: Final = _("Go back to the app, and start to sign in again.")
_REFUSED: Final = "The person rejected the request"


def authorize_routes(site: Site, oauth: OAuth, logos: ClientLogos) -> Iterator[web.RouteDef]:
    """Yield the endpoint, and a route for each form on its pages."""
    pages = AuthorizePages(site, oauth, logos)
    yield site.get(AUTHORIZE_PATH, pages.begin)
    for name, step in (
        ("choose", pages.choose),
        ("sign-out", pages.sign_out),
        ("consent", pages.consent),
        ("reject", pages.reject),
    ):
        yield site.post(f"{AUTHORIZE_PATH}/{name}", partial(pages.step, step))
    for name, sign_in in pages.sign_in_steps().items():
        yield site.post(f"{AUTHORIZE_PATH}/{name}", partial(pages.step, sign_in))
    yield site.get(f"{AUTHORIZE_PATH}/{{step:.*}}", pages.lost)


class AuthorizePages:
    """The steps of a request in the browser."""

    def __init__(self, site: Site, oauth: OAuth, logos: ClientLogos) -> None:
        self._oauth = oauth
        self._pages = RequestPages(oauth, logos)
        self._passwords = PasswordPage(site)
        self._sign_ups = SignUpPage(site, self._passwords.show)

    async def begin(self, visit: Visit) -> web.StreamResponse:
        """Open the request in the query, and show the first page; or grant it without."""
        request = visit.request
        try:
            query = read_query(parse_form(request.rel_url.raw_query_string.encode()))
            outcome = await self._oauth.authorization.begin(query, visit.device.id)
            if isinstance(outcome, Granted):
                return self._back(visit, outcome)
            await self._speak(visit, outcome)
            if "sign-in" in request.query:
                return self._ask_password(visit, outcome)
            if "sign-up" in request.query:
                return self._sign_ups.show(visit, self._purpose(outcome))
            if "choose" in request.query and outcome.accounts:
                return self._choose_page(visit, outcome, outcome.accounts)
            return await self.first(visit, outcome)
        except OAuthError as exc:
            return self._refused(visit, exc)

    async def step(self, do: _Step, visit: Visit, form: Form) -> web.StreamResponse:
        """Do what a form asks for; what was granted already is answered once more."""
        reference = form.text("client_id"), form.text("request_uri"), visit.device.id
        authorization = self._oauth.authorization
        try:
            granted = None
            if do in (self.choose, self.consent):
                granted = authorization.granted_before(*reference, form.text("did"))
            if granted is not None:
                return self._back(visit, granted)
            asking = await authorization.resume(*reference)
            await self._speak(visit, asking)
            return await do(visit, asking, form)
        except OAuthError as exc:
            return self._refused(visit, exc)

    async def lost(self, _visit: Visit) -> web.StreamResponse:
        """Answer a browser that loads the address of a step, as when it opens its tabs again."""
        raise PageError(400, "This page cannot be opened again.", _BACK_TO_APP)

    def sign_in_steps(self) -> dict[str, _Step]:
        """Return the steps that check who the person is, by the names of their forms."""
        steps = {**self._passwords.steps(), **self._sign_ups.steps()}
        return {name: self._for_app(step) for name, step in steps.items()}

    def _for_app(self, step: Step) -> _Step:
        async def do(visit: Visit, asking: Asking, form: Form) -> web.StreamResponse:
            return await step(visit, self._purpose(asking), form)

        return do

    async def choose(self, visit: Visit, asking: Asking, form: Form) -> web.StreamResponse:
        """Go on with a remembered account."""
        chosen = asking.find(form.text("did"))
        if chosen is None:
            return self._ask_password(visit, asking)
        if chosen.login_required:
            return self._ask_password(visit, asking, chosen.account.handle)
        return await self.signed_in(visit, asking, chosen.account, "")

    async def sign_out(self, visit: Visit, asking: Asking, form: Form) -> web.StreamResponse:
        """Forget an account on this device."""
        chosen = asking.find(form.text("did"))
        if chosen is not None:
            await self._oauth.sign_ins.forget(chosen.account.did, asking.device_id)
            await visit.rotate()
        resumed = await self._oauth.authorization.resume(
            asking.client.client_id, asking.request_uri, asking.device_id
        )
        return await self.first(visit, resumed)

    async def consent(self, visit: Visit, asking: Asking, form: Form) -> web.StreamResponse:
        """Grant the request, as far as the person agrees."""
        authorization = self._oauth.authorization
        account = authorization.account_of(asking, form.text("did"), form.text("ticket"))
        if account is None:
            problem = visit.gettext("Please sign in again.")
            return self._ask_password(visit, asking, problem=problem)
        granted = await authorization.grant(asking, account, frozenset(form.values("scope")))
        return self._back(visit, granted)

    async def reject(self, visit: Visit, asking: Asking, _form: Form) -> web.StreamResponse:
        """Tell the client that the person does not want this."""
        await self._oauth.authorization.end(asking)
        await visit.rotate()
        answer = ClientAnswer.refusal(asking.parameters, AccessDenied.error, _REFUSED)
        return send_to_client(visit, self._oauth.issuer, answer)

    async def first(self, visit: Visit, asking: Asking) -> web.StreamResponse:
        """Return the page with which a request begins: whichever step is missing."""
        selected = asking.selected
        if selected is not None:
            if selected.login_required:
                return self._ask_password(visit, asking, selected.account.handle)
            agreed = self._oauth.authorization.agreed(asking, selected.account)
            return await self._pages.consent(visit, asking, selected.account, agreed)
        if asking.parameters.prompt == "create":
            return self._sign_ups.show(visit, self._purpose(asking))
        if asking.accounts:
            return self._choose_page(visit, asking, asking.hinted or asking.accounts)
        return self._ask_password(visit, asking, asking.parameters.login_hint)

    async def signed_in(
        self, visit: Visit, asking: Asking, account: ActorAccount, ticket: str
    ) -> web.StreamResponse:
        """Grant the request to an account, or ask whether it may be."""
        authorization = self._oauth.authorization
        agreed = authorization.agreed(asking, account)
        if asking.needs_consent(agreed):
            return await self._pages.consent(visit, asking, account, agreed, ticket)
        return self._back(visit, await authorization.grant(asking, account))

    def _choose_page(
        self, visit: Visit, asking: Asking, signed_in: tuple[SignedIn, ...]
    ) -> web.StreamResponse:
        accounts = [
            {
                "did": one.account.did,
                "handle": one.account.shown_handle,
                "login_required": one.login_required,
            }
            for one in signed_in
        ]
        return self._pages.page(visit, "sign_in/choose.html", asking, accounts=accounts)

    def _ask_password(
        self, visit: Visit, asking: Asking, username: str | None = "", *, problem: str = ""
    ) -> web.StreamResponse:
        purpose = self._purpose(asking)
        return self._passwords.show(visit, purpose, username=username or "", problem=problem)

    def _purpose(self, asking: Asking) -> Purpose:
        return _AppPurpose(self, self._pages, self._oauth.authorization, asking)

    async def _speak(self, visit: Visit, asking: Asking) -> None:
        await visit.speak((asking.parameters.ui_locales or "").split())

    def _refused(self, visit: Visit, exc: OAuthError) -> web.StreamResponse:
        if exc.parameters is None:
            raise PageError(
                400,
                "%(said)s",
                _BACK_TO_APP,
                said=exc.description,
            ) from exc
        answer = ClientAnswer.refusal(exc.parameters, exc.error, exc.description)
        return send_to_client(visit, self._oauth.issuer, answer)

    def _back(self, visit: Visit, granted: Granted) -> web.StreamResponse:
        answer = ClientAnswer.code(granted.parameters, granted.code)
        return send_to_client(visit, self._oauth.issuer, answer)


@dataclass(slots=True, frozen=True)
class _AppPurpose:
    """Signing in for an app's request."""

    pages: AuthorizePages
    request_pages: RequestPages
    authorization: Authorization
    asking: Asking

    def page(self, visit: Visit, template: str, **values: Any) -> web.StreamResponse:
        return self.request_pages.page(visit, template, self.asking, **values)

    async def signed_in(self, visit: Visit, login: Login, *, remember: bool) -> web.StreamResponse:
        if remember:
            await self.authorization.remember(login, self.asking.device_id)
        ticket = self.authorization.ticket(self.asking, login)
        return await self.pages.signed_in(visit, self.asking, login.account, ticket)
