"""JWTs that clients sign with the keys of their metadata: assertions and request objects."""

from __future__ import annotations

from typing import Final

from pds.jose.jwk import Jwk
from pds.jose.jwks import Jwks
from pds.jose.jwt import Jwt

MAX_LENGTH: Final = 65_536
"""In characters; a request object may hold long scopes."""


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
    raise NotImplementedError
