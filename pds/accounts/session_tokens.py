"""Session tokens: the JWTs that log a user's client in, signed with the server's secret (HS256).

Both kinds carry scope, aud (this server's DID), sub (the account's DID), iat and exp; a refresh
token also carries jti, the id of its row in `refresh_token`. Access tokens are stateless, except
for accounts whose older tokens are revoked: see `pds.accounts.access_cutoffs`.

Behind an entryway, only tokens signed by it (ES256K) are accepted: access tokens for this server,
refresh tokens for the entryway itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from cachetools import LRUCache

from database.timestamps import Clock
from pds.accounts.codes import encode_jti
from pds.accounts.errors import ExpiredToken, InvalidToken, MissingTokenId
from pds.accounts.scopes import SessionScope
from pds.jose.jwt import InvalidJwt, Secret, VerifyingKey, is_time, sign_jwt, verify_jwt
from repo.keys import K256PublicKey
from repo.syntax import Did, is_did

ACCESS_LIFETIME_S: Final = 120 * 60
REFRESH_LIFETIME_S: Final = 90 * 24 * 60 * 60
MAX_TOKEN_LENGTH: Final = 8192
"""In characters; ours have about 300 to 450 with typical DIDs."""

_ACCESS_TYPE: Final = "at+jwt"
_REFRESH_TYPE: Final = "refresh+jwt"
_CACHED_TOKENS: Final = 4096


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """The claims of a verified access token. Times are in Unix seconds."""

    did: Did
    scope: SessionScope
    issued_at: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class RefreshClaims:
    """The claims of a verified refresh token. `expires_at` is in Unix seconds."""

    did: Did
    jti: str
    expires_at: float


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A new refresh token and the claims stored in its row. `expires_at` is in Unix seconds."""

    jwt: str
    did: Did
    jti: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class TokenIssuer:
    """Another server that signs session tokens instead of this one: its DID and its key."""

    did: str
    key: K256PublicKey


class SessionTokens:
    """Creates and verifies the session tokens of one server."""

    def __init__(
        self,
        *,
        jwt_secret: str,
        service_did: str,
        issuer: TokenIssuer | None = None,
        clock: Clock = time.time,
    ) -> None:
        """Accept the tokens of `issuer` if there is one, and otherwise this server's own."""
        self.cutoff_of: Callable[[str], int] = _no_cutoff
        """Returns the Unix second from which an account's access tokens are valid, or 0."""
        self._secret = Secret(jwt_secret.encode())
        self._key: VerifyingKey = self._secret if issuer is None else issuer.key
        self._service_did = service_did
        self._refresh_audience = service_did if issuer is None else issuer.did
        self._clock = clock
        # Verifying takes about 25 us, and a client sends the same token with every request. Only
        # valid tokens are cached; they stay valid except for their expiry and a cutoff.
        self._verified: LRUCache[str, AccessClaims] = LRUCache(_CACHED_TOKENS)

    def create_access(self, did: Did, scope: SessionScope) -> str:
        """Create an access token, valid for two hours."""
        now_s = int(self._clock())
        # Dated ahead if necessary: a cutoff also revokes tokens issued in the same second.
        issued_at = max(now_s, self.cutoff_of(did))
        claims = {
            "scope": scope.value,
            "aud": self._service_did,
            "sub": did,
            "iat": issued_at,
            "exp": now_s + ACCESS_LIFETIME_S,
        }
        return sign_jwt(self._secret, claims, typ=_ACCESS_TYPE)

    def create_refresh(self, did: Did, jti: str) -> RefreshToken:
        """Create a refresh token with the id `jti`, valid for 90 days."""
        now_s = int(self._clock())
        expires_at = now_s + REFRESH_LIFETIME_S
        claims = {
            "scope": SessionScope.REFRESH.value,
            "aud": self._service_did,
            "sub": did,
            "jti": jti,
            "iat": now_s,
            "exp": expires_at,
        }
        jwt = sign_jwt(self._secret, claims, typ=_REFRESH_TYPE)
        return RefreshToken(jwt, did, jti, expires_at)

    def successor_of(self, jti: str) -> str:
        """Return the id of the refresh token that follows another one in its session.

        Only the server can compute it, and at any time: even a token that is no longer stored leads
        to the stored tokens of its session.
        """
        return encode_jti(self._secret.sign(b"successor of " + jti.encode()))

    def verify_access(self, token: str) -> AccessClaims:
        """Check an access token. Raises `InvalidToken` or `ExpiredToken`.

        The endpoint checks the scope: see `require_scope`.
        """
        known = self._verified.get(token)
        if known is None:
            known = self._verify_access(token)
            self._verified[token] = known
        elif known.expires_at <= self._clock():
            raise _expired()
        self.ensure_current(known.did, known.issued_at)
        return known

    def ensure_current(self, did: Did, issued_at: float) -> None:
        """Raise `ExpiredToken` if the account's access tokens of that time are revoked."""
        if issued_at < self.cutoff_of(did):
            raise ExpiredToken("Token has been revoked")

    def verify_refresh(self, token: str, *, allow_expired: bool = False) -> RefreshClaims:
        """Check a refresh token. Raises `InvalidToken`, `ExpiredToken` or `MissingTokenId`."""
        claims = self._verify(
            token, _REFRESH_TYPE, audience=self._refresh_audience, allow_expired=allow_expired
        )
        jti = claims.get("jti")
        if jti is None:
            raise MissingTokenId
        if claims["scope"] is not SessionScope.REFRESH:
            raise _bad_scope()
        return RefreshClaims(claims["sub"], jti, claims["exp"])

    def _verify_access(self, token: str) -> AccessClaims:
        claims = self._verify(token, _ACCESS_TYPE, audience=self._service_did, allow_expired=False)
        told = claims.get("iat")
        # A token without a time of issue counts as older than any cutoff.
        issued_at = told if isinstance(told, int | float) else 0
        return AccessClaims(claims["sub"], claims["scope"], issued_at, claims["exp"])

    def _verify(
        self, token: str, typ: str, *, audience: str, allow_expired: bool
    ) -> dict[str, Any]:
        try:
            jwt = verify_jwt(token, self._key, max_length=MAX_TOKEN_LENGTH)
        except InvalidJwt as exc:
            raise _not_verified() from exc
        if jwt.header.get("typ") != typ or jwt.claims.get("aud") != audience:
            raise _not_verified()
        self._check_claims(jwt.claims, allow_expired=allow_expired)
        return jwt.claims

    def _check_claims(self, claims: dict[str, Any], *, allow_expired: bool) -> None:
        """Check the claims common to both kinds, and convert `scope` to a `SessionScope`."""
        expires_at, not_before = claims.get("exp"), claims.get("nbf", 0)
        if not is_time(expires_at) or not is_time(not_before):
            raise _not_verified()
        now_s = self._clock()
        if not_before > now_s:
            raise _not_verified()
        if expires_at <= now_s and not allow_expired:
            raise _expired()
        did, jti = claims.get("sub"), claims.get("jti")
        # A token bound to a method or a key belongs to another protocol that uses our secret.
        if "lxm" in claims or "cnf" in claims or not isinstance(did, str) or not is_did(did):
            raise InvalidToken("Malformed token")
        if jti is not None and not isinstance(jti, str):
            raise InvalidToken("Malformed token")
        try:
            claims["scope"] = SessionScope(claims["scope"])
        except (KeyError, ValueError) as exc:
            raise _bad_scope() from exc


def require_scope(claims: AccessClaims, accepted: frozenset[SessionScope]) -> None:
    """Raise `InvalidToken` unless the session's scope is one of `accepted`."""
    if claims.scope not in accepted:
        raise _bad_scope()


def _no_cutoff(_did: str) -> int:
    return 0


def _not_verified() -> InvalidToken:
    return InvalidToken("Token could not be verified")


def _expired() -> ExpiredToken:
    return ExpiredToken("Token has expired")


def _bad_scope() -> InvalidToken:
    return InvalidToken("Bad token scope")
