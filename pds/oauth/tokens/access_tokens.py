"""Access tokens: JWTs, signed with the server's secret, that name a row of `token`.

Those of the reference PDS with the same secret are the same. What they permit is in the row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cachetools import LRUCache

from pds.jose.jwt import InvalidJwt, Secret, is_time, read_unverified_jwt, sign_jwt
from pds.oauth.errors import InvalidToken
from pds.oauth.tokens.identifiers import is_token_id
from repo.syntax import is_did

MAX_LENGTH: Final = 8192
"""In characters; ours have about 600, and more if the client's id is long."""

_TYPE: Final = "at+jwt"
_CACHED_TOKENS: Final = 4096


@dataclass(slots=True, frozen=True)
class AccessToken:
    """The claims of an access token. `expires_at` is in Unix seconds."""

    token_id: str
    did: str
    jkt: str
    """Thumbprint of the key that must prove every request."""
    expires_at: float


class AccessTokens:
    """Makes and reads the access tokens of one server."""

    def __init__(self, *, jwt_secret: str, service_did: str, issuer: str) -> None:
        self._secret = Secret(jwt_secret.encode())
        self._service_did = service_did
        self._issuer = issuer
        # A client sends the same token with every request. Only signed ones are kept.
        self._known: LRUCache[str, AccessToken] = LRUCache(_CACHED_TOKENS)

    def create(self, token: AccessToken, *, client_id: str, now_s: float) -> str:
        """Return a signed token."""
        claims = {
            "jti": token.token_id,
            "sub": token.did,
            "iat": int(now_s),
            "exp": int(token.expires_at),
            "aud": self._service_did,
            "cnf": {"jkt": token.jkt},
            "client_id": client_id,
            "iss": self._issuer,
        }
        return sign_jwt(self._secret, claims, typ=_TYPE)

    def read(self, text: str, *, now_s: float) -> AccessToken:
        """Return the claims of a token that is valid now. Raises `InvalidToken`."""
        token = self.read_expired(text)
        if token.expires_at <= now_s:
            raise InvalidToken('"exp" claim timestamp check failed')
        return token

    def read_expired(self, text: str) -> AccessToken:
        """Do as `read`, for a token of any age."""
        token = self._known.get(text)
        if token is None:
            token = self._known[text] = self._verify(text)
        return token

    def _verify(self, text: str) -> AccessToken:
        try:
            jwt = read_unverified_jwt(text, max_length=MAX_LENGTH)
        except InvalidJwt as exc:
            raise InvalidToken("Malformed token") from exc
        if not jwt.signature:
            raise InvalidToken("Malformed token")
        if not jwt.is_signed_by(self._secret):
            raise InvalidToken("signature verification failed")
        claims = jwt.claims
        if jwt.header.get("typ") != _TYPE:
            raise InvalidToken('unexpected "typ" JWT header value')
        for name, expected in (("iss", self._issuer), ("aud", self._service_did)):
            if claims.get(name) != expected:
                raise InvalidToken(f'unexpected "{name}" claim value')
        token_id, did, cnf = claims.get("jti"), claims.get("sub"), claims.get("cnf")
        expires_at = claims.get("exp")
        jkt = cnf.get("jkt") if isinstance(cnf, dict) else None
        # Session tokens and those of pages are signed with the same secret, but have no such id.
        if not isinstance(token_id, str) or not is_token_id(token_id):
            raise InvalidToken("Invalid token ID format")
        if not isinstance(did, str) or not is_did(did) or not is_time(expires_at):
            raise InvalidToken("Malformed token")
        if not isinstance(jkt, str):
            raise InvalidToken("Bearer token type must be used without a DPoP proof")
        return AccessToken(token_id, did, jkt, expires_at)
