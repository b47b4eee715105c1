"""Access tokens: JWTs of an authorization server, bound to the key of a client.

Those of this server are signed with its secret, and name a row of `token`, which has what they
permit; those of the reference PDS with the same secret are the same. An entryway signs with its
key, and says in the token what it permits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from cachetools import LRUCache

from pds.jose.jwt import (
    InvalidJwt,
    Secret,
    VerifyingKey,
    is_time,
    read_unverified_jwt,
    sign_jwt,
)
from pds.oauth.errors import InvalidDpopProof, InvalidToken
from pds.oauth.tokens.identifiers import is_token_id
from repo.syntax import is_did

MAX_LENGTH: Final = 8192
"""In characters; ours have about 600, and more if the client's id is long."""

_TYPE: Final = "at+jwt"
_CACHED_TOKENS: Final = 4096


@dataclass(slots=True, frozen=True)
class AccessToken:
    """The claims of an access token. Times are in Unix seconds."""

    token_id: str
    did: str
    jkt: str
    """Thumbprint of the key that must prove every request."""
    expires_at: float
    issued_at: float = 0
    valid_from: float = 0
    client_id: str = ""
    scope: str = ""
    """Empty in this server's own tokens."""

    def check_bound_to(self, jkt: str | None) -> None:
        """Check that the token is bound to the key of a request's proof.

        `jkt` is None for a request without a proof. Raises `InvalidToken`, `InvalidDpopProof`.
        """
        if jkt is None:
            raise InvalidDpopProof("DPoP proof required")
        if self.jkt != jkt:
            raise InvalidToken("Invalid DPoP key binding")


class AccessTokenReader:
    """Reads the access tokens that one authorization server signs for this server."""

    def __init__(self, key: VerifyingKey, *, service_did: str, issuer: str) -> None:
        """`issuer` is the URL of the authorization server, without a slash at its end."""
        self._key = key
        self._service_did = service_did
        self._issuer = issuer
        # A client sends the same token with every request. Only signed ones are kept.
        self._known: LRUCache[str, AccessToken] = LRUCache(_CACHED_TOKENS)

    def read(self, text: str, *, now_s: float) -> AccessToken:
        """Return the claims of a token that is valid now. Raises `InvalidToken`."""
        token = self.read_expired(text)
        if token.expires_at <= now_s:
            raise InvalidToken('"exp" claim timestamp check failed')
        if token.valid_from > now_s:
            raise InvalidToken('"nbf" claim timestamp check failed')
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
        if not jwt.is_signed_by(self._key):
            raise InvalidToken("signature verification failed")
        claims = jwt.claims
        if jwt.header.get("typ") != _TYPE:
            raise InvalidToken('unexpected "typ" JWT header value')
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        if claims.get("iss") != self._issuer:
            raise InvalidToken('unexpected "iss" claim value')
        if self._service_did not in audiences:
            raise InvalidToken('unexpected "aud" claim value')
        return _read_claims(claims)


class AccessTokens(AccessTokenReader):
    """Makes and reads the access tokens of this server."""

    def __init__(self, *, jwt_secret: str, service_did: str, issuer: str) -> None:
        self._secret = Secret(jwt_secret.encode())
        super().__init__(self._secret, service_did=service_did, issuer=issuer)

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


def _read_claims(claims: dict[str, Any]) -> AccessToken:
    token_id, did, cnf = claims.get("jti"), claims.get("sub"), claims.get("cnf")
    issued_at, expires_at = claims.get("iat"), claims.get("exp")
    valid_from, client_id = claims.get("nbf", 0), claims.get("client_id", "")
    scope = claims.get("scope", "")
    jkt = cnf.get("jkt") if isinstance(cnf, dict) else None
    # Session tokens and those of pages are signed with the same key, but have no such id.
    if not isinstance(token_id, str) or not is_token_id(token_id):
        raise InvalidToken("Invalid token ID format")
    if not isinstance(did, str) or not is_did(did):
        raise InvalidToken("Malformed token")
    if not (is_time(issued_at) and is_time(expires_at) and is_time(valid_from)):
        raise InvalidToken("Malformed token")
    if not isinstance(client_id, str) or not isinstance(scope, str):
        raise InvalidToken("Malformed token")
    if not isinstance(jkt, str):
        raise InvalidToken("Bearer token type must be used without a DPoP proof")
    return AccessToken(
        token_id,
        did,
        jkt,
        expires_at,
        issued_at=issued_at,
        valid_from=valid_from,
        client_id=client_id,
        scope=scope,
    )
