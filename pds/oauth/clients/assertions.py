"""Client authentication with private_key_jwt: assertions that a client signs for one request.

Spec: https://www.rfc-editor.org/rfc/rfc7523#section-3
"""

from __future__ import annotations

from typing import Final

from database.timestamps import Clock
from pds.jose.jwks import Jwks
from pds.oauth.clients.authentication import PRIVATE_KEY_JWT, ClientAuth
from pds.oauth.clients.signed import LEEWAY_S, InvalidClientJwt, UnknownKey, verify_client_jwt
from pds.oauth.errors import InvalidClient, InvalidGrant
from pds.oauth.replay.store import ReplayStore

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
MAX_AGE_S: Final = 60
MAX_JTI_LENGTH: Final = 512

_MAX_EXP: Final = 2**53
_REPLAY_S: Final = MAX_AGE_S + LEEWAY_S + 6
"""For how long an assertion cannot be used again: no older one is accepted."""


class UnknownAssertionKey(InvalidClient):
    """The assertion names a key that the client's key set lacks; a fresh key set may have it."""


class ClientAssertions:
    """Checks the assertions of confidential clients."""

    def __init__(self, replays: ReplayStore, *, issuer: str, clock: Clock) -> None:
        """`issuer` is the server's public URL, the audience of assertions."""
        self._replays = replays
        self._issuer = issuer
        self._clock = clock

    async def check(
        self, client_id: str, keys: Jwks, *, assertion: str, assertion_type: str | None
    ) -> ClientAuth:
        """Check an assertion of a client with its keys.

        Raises `InvalidClient`; `UnknownAssertionKey` before anything is remembered; `InvalidGrant`
        for an assertion that was used before; `ReplayStoreFailed`.
        """
        if assertion_type != ASSERTION_TYPE:
            told = (assertion_type or "")[:100]
            raise InvalidClient(f'Unsupported client_assertion_type "{told}"')
        try:
            jwt, key = verify_client_jwt(
                assertion,
                keys,
                client_id=client_id,
                audience=self._issuer,
                max_age_s=MAX_AGE_S,
                now_s=self._clock(),
            )
        except UnknownKey as exc:
            raise UnknownAssertionKey(_failed(str(exc))) from exc
        except InvalidClientJwt as exc:
            raise InvalidClient(_failed(str(exc))) from exc
        if jwt.claims.get("sub") != client_id:
            raise InvalidClient(_failed('unexpected "sub" claim value'))
        jti, exp = jwt.claims.get("jti"), jwt.claims.get("exp")
        if not isinstance(jti, str) or not 0 < len(jti) <= MAX_JTI_LENGTH:
            raise InvalidClient(_failed('missing required "jti" claim'))
        if exp is not None and exp > _MAX_EXP:
            raise InvalidClient(_failed('"exp" claim timestamp check failed'))
        if jwt.header.get("kid") is None:
            raise InvalidClient('"kid" required in client_assertion')
        if not await self._replays.unique(f"Auth@{client_id}", jti, _REPLAY_S):
            raise InvalidGrant(f"{PRIVATE_KEY_JWT} jti reused")
        return ClientAuth(
            method=PRIVATE_KEY_JWT,
            alg=jwt.header["alg"],
            kid=key.kid,
            jkt=key.thumbprint("sha512"),
            jti=jti,
            exp=None if exp is None else int(exp),
        )


def _failed(reason: str) -> str:
    return f'Validation of "client_assertion" failed: {reason}'
