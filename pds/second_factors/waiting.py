"""What shows, for a quarter of an hour, that the password was right and a second factor is missing.

It is signed into the form that asks for the factor, so that no process has to remember it.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from database.timestamps import Clock
from pds.jose.jwt import InvalidJwt, Secret, is_time, sign_jwt, verify_jwt
from repo.syntax import Did

LIFETIME_S: Final = 15 * 60
_TYPE: Final = "holdfast-second-factor+jwt"
_MAX_LENGTH: Final = 2_048


@dataclass(frozen=True, slots=True)
class Waiting:
    """A sign-in whose password was right."""

    did: Did
    valid_from: int
    """The account's cutoff of tokens when the password was checked."""
    remember: bool
    """Whether the person wants to stay signed in."""


class WaitingSignIns:
    """Signs and reads what waits."""

    def __init__(self, secret: bytes, *, clock: Clock) -> None:
        self._secret = Secret(secret)
        self._clock = clock

    def sign(self, waiting: Waiting, browser_id: str) -> str:
        """Return the text for a form in one browser, of which `browser_id` is an id of any kind."""
        claims = {
            "sub": waiting.did,
            "from": waiting.valid_from,
            "remember": waiting.remember,
            "browser": _hash(browser_id),
            "exp": int(self._clock()) + LIFETIME_S,
        }
        return sign_jwt(self._secret, claims, typ=_TYPE)

    def read(self, text: str, browser_id: str) -> Waiting | None:
        """Return what was signed for this browser; None if it was not, or too long ago."""
        try:
            jwt = verify_jwt(text, self._secret, max_length=_MAX_LENGTH)
        except InvalidJwt:
            return None
        claims, exp = jwt.claims, jwt.claims.get("exp")
        if jwt.header.get("typ") != _TYPE or claims.get("browser") != _hash(browser_id):
            return None
        if not is_time(exp) or self._clock() >= exp:
            return None
        return Waiting(Did(claims["sub"]), claims["from"], claims["remember"])


def _hash(browser_id: str) -> str:
    # A form can be read by whoever sees the page, which no cookie should be.
    return sha256(browser_id.encode()).hexdigest()
