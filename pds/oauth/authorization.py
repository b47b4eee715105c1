"""`Authorization`: what a browser with an authorization request has to do next, and its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from database.timestamps import Clock, epoch_s_of
from pds.accounts.account import ActorAccount
from pds.accounts.accounts import Accounts
from pds.accounts.logins import Login
from pds.oauth.clients.client import Client
from pds.oauth.devices.consents import Consents
from pds.oauth.devices.sign_ins import SignIns
from pds.oauth.devices.tickets import Tickets
from pds.oauth.errors import (
    AccountSelectionRequired,
    ConsentRequired,
    LoginRequired,
    OAuthError,
)
from pds.oauth.requests.authorization_requests import AuthorizationRequests
from pds.oauth.requests.intake import OpenedRequest, RequestIntake
from pds.oauth.requests.parameters import AuthorizationParameters
from pds.oauth.requests.payload import RequestObject, RequestReference
from pds.oauth.scopes.scope import ATPROTO, split_scopes

SIGN_IN_LASTS_S: Final = 7 * 24 * 60 * 60.0
"""How long a remembered sign-in opens apps without the password."""


@dataclass(slots=True, frozen=True)
class SignedIn:
    """An account that the browser remembers."""

    account: ActorAccount
    login_required: bool
    """Whether the password has to be given again."""
    consent_required: bool
    """Whether the person has not agreed yet to all that the client asks for."""


@dataclass(slots=True, frozen=True)
class Granted:
    """The end: the client gets a code."""

    parameters: AuthorizationParameters
    code: str


@dataclass(slots=True, frozen=True)
class Asking:
    """The person has to sign in, choose, or agree."""

    opened: OpenedRequest
    device_id: str
    accounts: tuple[SignedIn, ...]

    @property
    def client(self) -> Client:
        """Who asks."""
        return self.opened.client

    @property
    def parameters(self) -> AuthorizationParameters:
        """What it asks for."""
        return self.opened.request.parameters

    @property
    def request_uri(self) -> str:
        """The name of the request, for the forms of its pages."""
        return self.opened.request.request_uri

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes asked for."""
        return split_scopes(self.parameters.scope)

    @property
    def hinted(self) -> tuple[SignedIn, ...]:
        """The remembered accounts that the client names; none if it names nobody."""
        hint = self.parameters.login_hint
        if hint is None:
            return ()
        return tuple(one for one in self.accounts if hint in (one.account.did, one.account.handle))

    @property
    def selected(self) -> SignedIn | None:
        """The remembered account that the client names, unless the person is to choose."""
        if self.parameters.prompt in ("select_account", "create"):
            return None
        return next(iter(self.hinted), None)

    def find(self, did: str) -> SignedIn | None:
        """Return a remembered account."""
        return next((one for one in self.accounts if one.account.did == did), None)

    def needs_consent(self, agreed: frozenset[str]) -> bool:
        """Whether somebody who has `agreed` to these scopes has to agree, or to more than them."""
        # Public clients, which prove nothing, have one of these two: the person is always asked.
        is_asked = self.parameters.prompt in ("consent", "create")
        return is_asked or not agreed.issuperset(self.scopes)


class Authorization:
    """Decides about the requests of one server."""

    def __init__(
        self,
        intake: RequestIntake,
        requests: AuthorizationRequests,
        accounts: Accounts,
        sign_ins: SignIns,
        consents: Consents,
        tickets: Tickets,
        *,
        clock: Clock,
    ) -> None:
        self._intake = intake
        self._requests = requests
        self._accounts = accounts
        self._sign_ins = sign_ins
        self._consents = consents
        self._tickets = tickets
        self._clock = clock

    async def begin(
        self,
        query: AuthorizationParameters | RequestObject | RequestReference,
        device_id: str,
    ) -> Granted | Asking:
        """Open the request that a browser brings; grant it if nobody has to be asked.

        Raises `OAuthError`. One with `parameters` is answered to the client; it ends the request.
        """
        asking = self._asking(await self._intake.open(query, device_id=device_id), device_id)
        prompt = asking.parameters.prompt
        if prompt == "select_account" and not asking.accounts:
            raise await self._ended(asking, AccountSelectionRequired("Nobody is signed in"))
        # One account at most has the DID or the handle of the hint.
        active = next((one for one in asking.hinted if one.account.deactivated_at is None), None)
        problem = _problem_of_silence(active)
        if active is not None and problem is None and prompt in (None, "none"):
            return await self.grant(asking, active.account)
        if prompt == "none" and problem is not None:
            raise await self._ended(asking, problem)
        return asking

    async def resume(self, client_id: str, request_uri: str, device_id: str) -> Asking:
        """Open the request that a form on one of our pages belongs to. Raises `OAuthError`."""
        reference = RequestReference(client_id, request_uri)
        return self._asking(await self._intake.open(reference, device_id=device_id), device_id)

    def granted_before(
        self, client_id: str, request_uri: str, device_id: str, did: str
    ) -> Granted | None:
        """Return the same answer again to a form that comes twice. Raises `InvalidRequest`."""
        request = self._requests.find_granted(
            request_uri, client_id=client_id, device_id=device_id, did=did
        )
        return None if request is None else Granted(request.parameters, request.code or "")

    async def remember(self, login: Login, device_id: str) -> None:
        """Keep an account signed in on a device.

        Raises `AccountError` if the account has changed since its password was checked.
        """
        await self._sign_ins.remember(
            login.account.did,
            device_id,
            check=lambda: self._accounts.sessions.check_still_right(login),
        )

    def ticket(self, asking: Asking, login: Login) -> str:
        """Return what proves a sign-in that is not remembered, for this request and device."""
        return self._tickets.make(
            login.account.did, asking.device_id, asking.request_uri, valid_from=login.valid_from
        )

    def account_of(self, asking: Asking, did: str, ticket: str) -> ActorAccount | None:
        """Return the account if it is signed in, freshly: remembered, or by a ticket."""
        remembered = asking.find(did)
        if remembered is not None and not remembered.login_required:
            return remembered.account
        cutoff = self._accounts.access_cutoffs.find(did)
        if not self._tickets.is_valid(
            ticket, did, asking.device_id, asking.request_uri, cutoff=cutoff
        ):
            return None
        return self._accounts.store.find(did, include_deactivated=True)

    def agreed(self, asking: Asking, account: ActorAccount) -> frozenset[str]:
        """Return the scopes that the person has agreed to before."""
        return self._consents.find(account.did, asking.client.client_id) or frozenset()

    async def grant(
        self, asking: Asking, account: ActorAccount, scopes: frozenset[str] | None = None
    ) -> Granted:
        """Give the client a code. `scopes` are those that the person left; all if None.

        Raises `OAuthError` with `parameters`.
        """
        kept = [s for s in asking.scopes if scopes is None or s == ATPROTO or s in scopes]
        request = await self._requests.authorize(
            asking.request_uri,
            did=account.did,
            device_id=asking.device_id,
            is_deactivated=account.deactivated_at is not None,
            scope=" ".join(kept),
        )
        # Any program of the machine can call itself a loopback client.
        if scopes is not None and not asking.client.is_loopback:
            await self._consents.remember(
                account.did, asking.client.client_id, frozenset(asking.scopes) & frozenset(kept)
            )
        return Granted(request.parameters, request.code or "")

    async def end(self, asking: Asking) -> None:
        """Delete the request, because the person has refused it."""
        await self._requests.delete(asking.request_uri)

    async def _ended(self, asking: Asking, error: OAuthError) -> OAuthError:
        await self._requests.delete(asking.request_uri)
        error.parameters = asking.parameters
        return error

    def _asking(self, opened: OpenedRequest, device_id: str) -> Asking:
        asking = Asking(opened, device_id, ())
        accounts = tuple(self._signed_in(asking))
        return Asking(opened, device_id, accounts)

    def _signed_in(self, asking: Asking) -> list[SignedIn]:
        sign_ins = self._sign_ins.of_device(asking.device_id)
        found = self._accounts.store.find_many([one.did for one in sign_ins])
        now_s = self._clock()
        return [
            SignedIn(
                account,
                login_required=asking.parameters.prompt == "login"
                or now_s - epoch_s_of(one.updated_at) > SIGN_IN_LASTS_S,
                consent_required=asking.needs_consent(self.agreed(asking, account)),
            )
            for one in sign_ins
            if (account := found.get(one.did)) is not None and account.takedown_ref is None
        ]


def _problem_of_silence(signed_in: SignedIn | None) -> OAuthError | None:
    """Return why a request cannot be granted to an account without a page."""
    if signed_in is None or signed_in.login_required:
        return LoginRequired("The person has to sign in")
    if signed_in.consent_required:
        return ConsentRequired("The person has to agree")
    return None
