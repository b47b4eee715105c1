"""Tickets: what shows, for a quarter of an hour, that somebody signed in who is not remembered."""

from __future__ import annotations

from typing import Final

from database.timestamps import Clock
from pds.jose.jwt import InvalidJwt, Secret, is_time, sign_jwt, verify_jwt
from repo.syntax import Did

LIFETIME_S: Final = 15 * 60
_TYPE: Final = "holdfast-ticket+jwt"
_MAX_LENGTH: Final = 2_048


class Tickets:
    """Signs tickets into forms, so that no process has to remember them."""

    def __init__(self, secret: bytes, *, clock: Clock) -> None:
        self._secret = Secret(secret)
        self._clock = clock

    def make(self, did: Did, device_id: str, request_uri: str, *, valid_from: int) -> str:
        """Return a ticket for one request on one device.

        `valid_from` is the account's cutoff of tokens when the password was checked.
        """
        claims = {
            "sub": did,
            "device": device_id,
            "request": request_uri,
            "from": valid_from,
            "exp": int(self._clock()) + LIFETIME_S,
        }
        return sign_jwt(self._secret, claims, typ=_TYPE)

    def is_valid(
        self, ticket: str, did: str, device_id: str, request_uri: str, *, cutoff: int
    ) -> bool:
        """Whether a ticket is for this account, device and request, and its sign-in still holds.

        A `cutoff` that has moved since ends it, as after a new password.
        """
        try:
            jwt = verify_jwt(ticket, self._secret, max_length=_MAX_LENGTH)
        except InvalidJwt:
            return False
        claims, exp = jwt.claims, jwt.claims.get("exp")
        return (
            jwt.header.get("typ") == _TYPE
            and (claims.get("sub"), claims.get("device")) == (did, device_id)
            and claims.get("request") == request_uri
            and claims.get("from") == cutoff
            and is_time(exp)
            and self._clock() < exp
        )
