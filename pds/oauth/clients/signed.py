"""JWTs that clients sign with the keys of their metadata: assertions and request objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pds.jose.jwk import Jwk
from pds.jose.jwks import Jwks
from pds.jose.jwt import InvalidJwt, Jwt, is_time, read_unverified_jwt

MAX_LENGTH: Final = 65_536
"""In characters; a request object may hold long scopes."""
LEEWAY_S: Final = 10
"""How far a client's clock may be ahead of the server's."""


class InvalidClientJwt(ValueError):
    """The token is malformed, not signed by a key of the client, or not valid now."""


class UnknownKey(InvalidClientJwt):
    """No key of the client has the id and algorithm of the token; a fresh key set may."""


def verify_client_jwt(
    token: str, keys: Jwks, *, client_id: str, audience: str, max_age_s: float, now_s: float
) -> tuple[Jwt, Jwk]:
    """Return a token of a client and the key that signed it.

    Checks signature, iss (the client), aud, iat (at most `max_age_s` old), exp and nbf.
    Raises `InvalidClientJwt`, whose text may be shown to the client.
    """
    try:
        jwt = read_unverified_jwt(token, max_length=MAX_LENGTH)
    except InvalidJwt as exc:
        raise InvalidClientJwt(str(exc)) from exc
    key = keys.find(jwt)
    if key is None:
        raise UnknownKey("no applicable key found in the JSON Web Key Set")
    if not key.has_signed(jwt):
        raise InvalidClientJwt("signature verification failed")
    check_claims(
        jwt.claims, client_id=client_id, audience=audience, max_age_s=max_age_s, now_s=now_s
    )
    return jwt, key


def check_claims(
    claims: Mapping[str, Any], *, client_id: str, audience: str, max_age_s: float, now_s: float
) -> None:
    """Check who made a token, for whom and when. Raises `InvalidClientJwt`."""
    if claims.get("iss") != client_id:
        raise _unexpected("iss")
    told = claims.get("aud")
    if audience not in (told if isinstance(told, list) else [told]):
        raise _unexpected("aud")
    issued_at = claims.get("iat")
    if not is_time(issued_at):
        raise InvalidClientJwt('missing required "iat" claim')
    if not now_s - max_age_s <= issued_at <= now_s + LEEWAY_S:
        raise InvalidClientJwt('"iat" claim timestamp check failed')
    expires_at, not_before = claims.get("exp"), claims.get("nbf")
    if expires_at is not None and not (is_time(expires_at) and expires_at > now_s):
        raise InvalidClientJwt('"exp" claim timestamp check failed')
    if not_before is not None and not (is_time(not_before) and not_before <= now_s + LEEWAY_S):
        raise InvalidClientJwt('"nbf" claim timestamp check failed')


def _unexpected(claim: str) -> InvalidClientJwt:
    return InvalidClientJwt(f'unexpected "{claim}" claim value')
