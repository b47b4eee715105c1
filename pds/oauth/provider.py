"""`OAuth`: the authorization server, wired from its parts, and what its endpoints do.

Spec: https://atproto.com/specs/oauth
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from database.timestamps import Clock
from identity.http import SafeHttp
from pds.accounts.accounts import Accounts
from pds.oauth.access import OAuthAccess
from pds.oauth.authorization import Authorization
from pds.oauth.clients.assertions import ClientAssertions, UnknownAssertionKey
from pds.oauth.clients.authentication import ClientAuth
from pds.oauth.clients.client import Client
from pds.oauth.clients.clients import Clients
from pds.oauth.clients.credentials import ClientCredentials
from pds.oauth.clients.logos import Logos
from pds.oauth.derived_secrets import derived_secret
from pds.oauth.devices.consents import Consents
from pds.oauth.devices.sign_ins import SignIns
from pds.oauth.devices.tickets import Tickets
from pds.oauth.dpop.nonces import DpopNonces, nonce_secret
from pds.oauth.dpop.proofs import DpopProofs
from pds.oauth.errors import InvalidClient, InvalidDpopProof, InvalidGrant, InvalidRequest
from pds.oauth.permission_sets.permission_sets import PermissionSets
from pds.oauth.replay.opening import open_replays
from pds.oauth.requests.authorization_requests import AuthorizationRequests
from pds.oauth.requests.intake import RequestIntake
from pds.oauth.requests.payload import read_pushed
from pds.oauth.requests.request_objects import RequestObjects
from pds.oauth.requests.rules import RequestRules
from pds.oauth.requests.stored import StoredRequest
from pds.oauth.scopes.scope import parse_scope
from pds.oauth.tokens.account_sessions import AccountSessions
from pds.oauth.tokens.grants import TokenResponse
from pds.oauth.tokens.sweep import SessionSweep
from pds.oauth.tokens.tokens import OAuthTokens

if TYPE_CHECKING:
    from redis.asyncio import Redis

GRANT_TYPES: Final = ("authorization_code", "refresh_token")


class OAuth:
    """The authorization server of a data directory."""

    def __init__(
        self,
        accounts: Accounts,
        http: SafeHttp,
        permission_sets: PermissionSets,
        *,
        issuer: str,
        service_did: str,
        jwt_secret: str,
        dpop_secret: str | None,
        replay_file: Path,
        redis: Redis | None = None,
        trusted_clients: Collection[str] = (),
        clock: Clock = time.time,
    ) -> None:
        """`issuer` is the server's public URL, without a slash at its end.

        `dpop_secret` is 64 hex digits, or None. Clients are fetched with `http`.
        """
        self.issuer, db = issuer, accounts.db
        self._replays = replays = open_replays(replay_file, redis, clock=clock)
        nonces = DpopNonces(nonce_secret(dpop_secret, jwt_secret=jwt_secret), clock=clock)
        self.permission_sets = permission_sets
        self.proofs = DpopProofs(nonces, replays, clock=clock)
        self.clients = Clients(http, trusted=trusted_clients, clock=clock)
        self.logos = Logos(http, clock=clock)
        self._assertions = ClientAssertions(replays, issuer=issuer, clock=clock)
        self.requests = AuthorizationRequests(db, clock=clock)
        rules = RequestRules(
            is_scope=lambda text: parse_scope(text) is not None,
            resolve_sets=permission_sets.find_all,
        )
        objects = RequestObjects(self.clients, replays, issuer=issuer, clock=clock)
        self.intake = RequestIntake(self.clients, self.requests, rules, objects)
        self.tokens = OAuthTokens(
            db,
            replays,
            jwt_secret=jwt_secret,
            service_did=service_did,
            issuer=issuer,
            expand_scope=permission_sets.expand,
            clock=clock,
        )
        self.access = OAuthAccess(issuer, self.proofs, self.tokens)
        self.sessions = AccountSessions(db, clock=clock)
        self.sweep = SessionSweep(db, clock=clock)
        self.sign_ins = SignIns(db, clock=clock)
        self.consents = Consents(db, clock=clock)
        self.authorization = Authorization(
            self.intake,
            self.requests,
            accounts,
            self.sign_ins,
            self.consents,
            Tickets(derived_secret(jwt_secret, "tickets"), clock=clock),
            clock=clock,
        )

    async def close(self) -> None:
        """End the sweep, and close the replay store."""
        await self.sweep.close()
        await self._replays.close()

    async def push(self, payload: Mapping[str, object], jkt: str | None) -> StoredRequest:
        """Take in a pushed authorization request. `jkt` is the key of its DPoP proof, if any.

        Raises `OAuthError`.
        """
        client, auth = await self._authenticate(payload, jkt, InvalidClient)
        return await self.intake.push(client, auth, read_pushed(payload), jkt=jkt)

    async def token(self, payload: Mapping[str, object], jkt: str | None) -> TokenResponse:
        """Exchange a code or a refresh token. Raises `OAuthError`."""
        grant_type = _text(payload, "grant_type", InvalidGrant)
        client, auth = await self._authenticate(payload, jkt, InvalidGrant, needs_proof=True)
        if grant_type not in client.metadata.grant_types:
            if grant_type in GRANT_TYPES:
                raise InvalidGrant(f'"{grant_type}" grant type is not allowed for this client')
            raise InvalidGrant(f'Grant type "{grant_type[:100]}" is not supported by the server')
        if grant_type == "refresh_token":
            return await self._refresh(client, auth, payload, jkt)
        return await self._redeem_code(client, auth, payload, jkt)

    async def revoke(self, payload: Mapping[str, object], jkt: str | None) -> None:
        """End the session of a token. Raises `OAuthError` for a client that is not what it says.

        What is no token of the client is ignored, as RFC 7009 (section 2.2) asks.
        """
        token = _text(payload, "token", InvalidRequest)
        client, auth = await self._authenticate(payload, jkt, InvalidRequest, needs_proof=True)
        await self.tokens.revoke(client.for_tokens, auth, token, jkt=jkt)

    async def _redeem_code(
        self, client: Client, auth: ClientAuth, payload: Mapping[str, object], jkt: str | None
    ) -> TokenResponse:
        code = _text(payload, "code", InvalidGrant)
        try:
            grant = await self.requests.consume(code)
        except InvalidGrant:
            # A code that comes twice has been stolen, by the first or by the second who brought it.
            ended = await self.tokens.end_for_replayed(code)
            if ended is not None and ended.device_id is not None:
                await self.sign_ins.forget(ended.did, ended.device_id)
            raise
        return await self.tokens.issue(
            client.for_tokens,
            auth,
            grant,
            redirect_uri=_optional(payload, "redirect_uri"),
            code_verifier=_optional(payload, "code_verifier"),
            jkt=jkt,
        )

    async def _refresh(
        self, client: Client, auth: ClientAuth, payload: Mapping[str, object], jkt: str | None
    ) -> TokenResponse:
        token = _text(payload, "refresh_token", InvalidGrant)
        return await self.tokens.refresh(client.for_tokens, auth, token, jkt=jkt)

    async def _authenticate(
        self,
        payload: Mapping[str, object],
        jkt: str | None,
        malformed: type[InvalidClient | InvalidGrant | InvalidRequest],
        *,
        needs_proof: bool = False,
    ) -> tuple[Client, ClientAuth]:
        """Return the client that makes a request, and how it has authenticated.

        Raises `malformed` if the request names no client, and other `OAuthError`s.
        """
        credentials = ClientCredentials.read(payload, malformed)
        client = await self.clients.get(credentials.client_id)
        if needs_proof and jkt is None:
            raise InvalidDpopProof("DPoP proof required")
        if not client.is_confidential:
            return client, ClientAuth("none")
        if credentials.assertion is None:
            raise InvalidClient(
                'client authentication method "private_key_jwt" required a "client_assertion"'
            )
        try:
            auth = await self._check_assertion(client, credentials)
        except UnknownAssertionKey:
            auth = await self._check_assertion(
                await self.clients.with_fresh_keys(client), credentials
            )
        if jkt is not None and any(key.thumbprint() == jkt for key in client.keys.keys):
            raise InvalidRequest(
                "The DPoP proof must be signed with a different key than the client assertion"
            )
        return client, auth

    async def _check_assertion(self, client: Client, credentials: ClientCredentials) -> ClientAuth:
        return await self._assertions.check(
            client.client_id,
            client.keys,
            assertion=credentials.assertion or "",
            assertion_type=credentials.assertion_type,
        )


def _text(
    payload: Mapping[str, object], name: str, error: type[InvalidGrant | InvalidRequest]
) -> str:
    value = payload.get(name)
    if not isinstance(value, str) or not value:
        raise error(f"Invalid request payload: {name} is missing")
    return value


def _optional(payload: Mapping[str, object], name: str) -> str | None:
    value = payload.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidGrant(f"Invalid request payload: {name} is not a string")
    return value
