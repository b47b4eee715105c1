"""The authorization endpoint: the pages on which a person signs in, chooses an account and agrees.

Every step is a form, so that nothing needs scripts. What a form does is bound to the browser by
its cookies, and to the page by a token; the request itself is in the database.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias
from urllib.parse import urlsplit

import structlog
from aiohttp import web

from database.errors import DatabaseError
from pds.accounts.account import ActorAccount
from pds.accounts.errors import AccountError
from pds.context import AppContext
from pds.fairness.turns import TooBusy
from pds.oauth.authorization import Asking, Granted
from pds.oauth.devices.device_sessions import Device
from pds.oauth.errors import AccessDenied, OAuthError
from pds.oauth.provider import OAuth
from pds.oauth.replay.errors import ReplayStoreFailed
from pds.oauth.requests.payload import read_query
from pds.rate_limits.errors import TooManyRequests
from pds.rate_limits.limiter import RateLimiter
from pds.web.oauth.answers import ClientAnswer, send_to_client
from pds.web.oauth.cookies import FormTokens, set_cookies, visitor_of
from pds.web.oauth.documents import AUTHORIZE_PATH
from pds.web.oauth.form import Form, read_form
from pds.web.oauth.origin import comes_from, is_navigation
from pds.web.oauth.payload import parse_form
from pds.web.oauth.request_pages import RequestPages, error_page
from pds.xrpc.errors import XrpcError

_Step: TypeAlias = Callable[[Asking, Form], Awaitable[web.Response]]

_LIKE: Final = "com.atproto.server.createSession"
"""The method whose limits count: passwords are guessed here as well as there."""
_REFUSED: Final = "The person rejected the request"
_log = structlog.get_logger(__name__)


@dataclass(slots=True, frozen=True)
class _SignIn:
    """A sign-in, as rate limits see it."""

    body: Mapping[str, str]
    caller: str = ""


def authorize_routes(
    ctx: AppContext, oauth: OAuth, limiter: RateLimiter | None
) -> Iterator[web.RouteDef]:
    """Yield the endpoint, and a route for each form on its pages."""
    pages = AuthorizePages(ctx, oauth, limiter)
    yield web.get(AUTHORIZE_PATH, pages.begin)
    for name, step in (
        ("sign-in", pages.sign_in),
        ("choose", pages.choose),
        ("sign-out", pages.sign_out),
        ("consent", pages.consent),
        ("reject", pages.reject),
    ):
        yield web.post(f"{AUTHORIZE_PATH}/{name}", partial(pages.step, step))


class AuthorizePages:
    """The steps of a request in the browser."""

    def __init__(self, ctx: AppContext, oauth: OAuth, limiter: RateLimiter | None) -> None:
        self._ctx = ctx
        self._limiter = limiter
        self._oauth = oauth
        self._tokens = FormTokens(oauth.form_secret)
        self._pages = RequestPages(oauth, self._tokens, ctx.settings.service_name)
        parts = urlsplit(oauth.issuer)
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._secure = parts.scheme == "https"

    async def begin(self, request: web.Request) -> web.Response:
        """Open the request in the query, and show the first page; or grant it without."""
        if not is_navigation(request.headers):
            return error_page(400, "This page must be opened in a tab of its own.")
        return await self._guarded(partial(self._begin, request))

    async def step(self, do: _Step, request: web.Request) -> web.Response:
        """Do what a form asks for, if it comes from a page that this browser has got from us."""
        if not comes_from(self._origin, request.headers):
            return error_page(403, "This form was not sent by a page of this server.")
        return await self._guarded(partial(self._step, do, request))

    async def sign_in(self, asking: Asking, form: Form) -> web.Response:
        """Check the password, and go on with the account."""
        username = form.text("username").strip().removeprefix("@")
        authorization = self._oauth.authorization
        if self._limiter is not None:
            await self._limiter.count_call(form.request, _LIKE, _SignIn({"identifier": username}))
        try:
            login = await authorization.sign_in(username, form.text("password"), asker=form.asker)
            await form.rotate(self._oauth.devices)
            if form.has("remember"):
                await authorization.remember(login, asking.device_id)
        except (AccountError, TooBusy) as exc:
            return self._pages.sign_in(
                asking, username=username, problem=str(exc), remember=form.has("remember")
            )
        ticket = authorization.ticket(asking, login)
        return await self._signed_in(asking, login.account, ticket)

    async def choose(self, asking: Asking, form: Form) -> web.Response:
        """Go on with a remembered account."""
        chosen = asking.find(form.text("did"))
        if chosen is None:
            return self._pages.sign_in(asking)
        if chosen.login_required:
            return self._pages.sign_in(asking, username=chosen.account.handle or "")
        return await self._signed_in(asking, chosen.account, "")

    async def sign_out(self, asking: Asking, form: Form) -> web.Response:
        """Forget an account on this device."""
        chosen = asking.find(form.text("did"))
        if chosen is not None:
            await self._oauth.sign_ins.forget(chosen.account.did, asking.device_id)
            await form.rotate(self._oauth.devices)
        return await self._pages.first(
            await self._oauth.authorization.resume(
                asking.client.client_id, asking.request_uri, asking.device_id
            )
        )

    async def consent(self, asking: Asking, form: Form) -> web.Response:
        """Grant the request, as far as the person agrees."""
        authorization = self._oauth.authorization
        account = authorization.account_of(asking, form.text("did"), form.text("ticket"))
        if account is None:
            return self._pages.sign_in(asking, problem="Please sign in again.")
        granted = await authorization.grant(asking, account, frozenset(form.values("scope")))
        return self._back(granted)

    async def reject(self, asking: Asking, form: Form) -> web.Response:
        """Tell the client that the person does not want this."""
        await self._oauth.authorization.end(asking)
        await form.rotate(self._oauth.devices)
        answer = ClientAnswer.refusal(asking.parameters, AccessDenied.error, _REFUSED)
        return send_to_client(self._oauth.issuer, answer)

    async def _signed_in(self, asking: Asking, account: ActorAccount, ticket: str) -> web.Response:
        authorization = self._oauth.authorization
        if authorization.needs_consent(asking, account):
            return await self._pages.consent(asking, account, ticket)
        return self._back(await authorization.grant(asking, account))

    async def _begin(self, request: web.Request) -> web.Response:
        query = read_query(parse_form(request.rel_url.raw_query_string.encode()))
        device = await self._oauth.devices.recognise(visitor_of(self._ctx, request))
        try:
            outcome = await self._oauth.authorization.begin(query, device.id)
            if isinstance(outcome, Granted):
                response = self._back(outcome)
            elif "sign-in" in request.query:
                response = self._pages.sign_in(outcome)
            else:
                response = await self._pages.first(outcome)
        except OAuthError as exc:
            response = self._refused(exc)
        return self._with_cookies(response, device)

    async def _step(self, do: _Step, request: web.Request) -> web.Response:
        visitor = visitor_of(self._ctx, request)
        device = await self._oauth.devices.recognise(visitor)
        form = await read_form(self._ctx, request, device, visitor)
        if not self._tokens.is_valid(device.id, form.text("csrf")):
            return self._with_cookies(
                error_page(
                    403,
                    "Your browser did not send the cookies of this page.",
                    "Allow cookies for this server, go back to the app, and start again.",
                ),
                device,
            )
        reference = form.text("client_id"), form.text("request_uri"), device.id
        authorization = self._oauth.authorization
        try:
            granted = None
            if do in (self.choose, self.consent):
                granted = authorization.granted_before(*reference, form.text("did"))
            if granted is None:
                response = await do(await authorization.resume(*reference), form)
            else:
                response = self._back(granted)
        except OAuthError as exc:
            response = self._refused(exc)
        return self._with_cookies(response, form.device)

    async def _guarded(self, answer: Callable[[], Awaitable[web.Response]]) -> web.Response:
        """Show a page for whatever else goes wrong."""
        try:
            return await answer()
        except OAuthError as exc:
            return self._refused(exc)
        except TooManyRequests:
            return error_page(
                429, "There were too many attempts to sign in.", "Please try again in some minutes."
            )
        except XrpcError as exc:
            return error_page(exc.status, exc.message)
        except TooBusy as exc:
            return error_page(503, str(exc), "Please try again in a minute.")
        except (DatabaseError, ReplayStoreFailed):
            _log.exception("an authorization request failed")
            return error_page(500, "This server has a problem.", "Please try again in a minute.")

    def _refused(self, exc: OAuthError) -> web.Response:
        if exc.parameters is None:
            return error_page(
                400, exc.description, "Go back to the app, and start to sign in again."
            )
        answer = ClientAnswer.refusal(exc.parameters, exc.error, exc.description)
        return send_to_client(self._oauth.issuer, answer)

    def _back(self, granted: Granted) -> web.Response:
        answer = ClientAnswer.code(granted.parameters, granted.code)
        return send_to_client(self._oauth.issuer, answer)

    def _with_cookies(self, response: web.Response, device: Device) -> web.Response:
        set_cookies(response, device, secure=self._secure)
        return response
