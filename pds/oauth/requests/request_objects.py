"""`RequestObjects`: authorization requests in JWTs, signed by the client (JAR).

Spec: https://www.rfc-editor.org/rfc/rfc9101
"""

from __future__ import annotations

from typing import Any, Final

from database.timestamps import Clock
from pds.jose.jwt import InvalidJwt, Jwt, read_unverified_jwt
from pds.oauth.clients.client import Client
from pds.oauth.clients.clients import Clients
from pds.oauth.clients.signed import (
    MAX_LENGTH,
    InvalidClientJwt,
    UnknownKey,
    check_claims,
    verify_client_jwt,
)
from pds.oauth.errors import InvalidRequest
from pds.oauth.replay.store import ReplayStore
from pds.oauth.requests.parameters import AuthorizationParameters
from pds.oauth.requests.payload import read_parameters

MAX_AGE_S: Final = 59
REMEMBERED_S: Final = 65
"""How long a `jti` is remembered: a little longer than a request object is valid."""

_MAX_JTI: Final = 1_024
_UNSIGNED: Final = "none"


class RequestObjects:
    """Reads request objects, each of them once."""

    def __init__(
        self, clients: Clients, replays: ReplayStore, *, issuer: str, clock: Clock
    ) -> None:
        """`issuer` is the server's public URL, for which request objects are made."""
        self._clients = clients
        self._replays = replays
        self._issuer = issuer
        self._clock = clock

    async def read(self, client: Client, jwt: str) -> AuthorizationParameters:
        """Return the parameters in a request object, not yet checked against the client.

        Raises `InvalidRequest`, and what fetching the client's keys raises.
        """
        try:
            claims = await self._claims(client, jwt)
        except (InvalidJwt, InvalidClientJwt) as exc:
            raise InvalidRequest(f'Invalid "request" object: {exc}') from exc
        jti = claims.get("jti")
        if not isinstance(jti, str) or not 0 < len(jti) <= _MAX_JTI:
            raise InvalidRequest('Request object payload must contain a "jti" claim')
        parameters = read_parameters(claims, problem="Invalid parameters in JAR")
        if not await self._replays.unique(f"JAR@{client.client_id}", jti, REMEMBERED_S):
            raise InvalidRequest("Request object was replayed")
        return parameters

    async def _claims(self, client: Client, jwt: str) -> dict[str, Any]:
        alg = client.metadata.request_object_signing_alg
        if alg == _UNSIGNED:
            return self._unsigned_claims(client, jwt)
        try:
            token = self._verified(client, jwt)
        except UnknownKey:
            token = self._verified(await self._clients.with_fresh_keys(client), jwt)
        if alg is not None and token.header.get("alg") != alg:
            raise InvalidClientJwt(f"it is not signed with {alg}")
        return token.claims

    def _verified(self, client: Client, jwt: str) -> Jwt:
        token, _ = verify_client_jwt(
            jwt,
            client.keys,
            client_id=client.client_id,
            audience=self._issuer,
            max_age_s=MAX_AGE_S,
            now_s=self._clock(),
        )
        return token

    def _unsigned_claims(self, client: Client, jwt: str) -> dict[str, Any]:
        """Read a request object of a client whose metadata says that it does not sign them."""
        token = read_unverified_jwt(jwt, max_length=MAX_LENGTH)
        if token.header.get("alg") != _UNSIGNED or token.signature:
            raise InvalidClientJwt("it is signed, although the client declares that it is not")
        # Who made it, and for whom, is optional then: anyone could have written it.
        claims = {"iss": client.client_id, "aud": self._issuer} | token.claims
        check_claims(
            claims,
            client_id=client.client_id,
            audience=self._issuer,
            max_age_s=MAX_AGE_S,
            now_s=self._clock(),
        )
        return claims
