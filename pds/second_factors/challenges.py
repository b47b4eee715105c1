"""Challenges for passkeys: signed, so that no process remembers those that are out, and used once.

A challenge is bound to a purpose (to set up or to sign in), to a browser and, if one is known, to
an account.
"""

from __future__ import annotations

import hmac
import secrets
from typing import Final

from database.connection import Database
from database.timestamps import Clock
from pds.second_factors.errors import PasskeyRefused

LIFETIME_S: Final = 30 * 60
"""As long as a page may lie open before its passkey is asked for."""
_RANDOM_BYTES: Final = 16
_TIME_BYTES: Final = 8
_LENGTH: Final = _RANDOM_BYTES + _TIME_BYTES + 32


class Challenges:
    """Makes challenges, and uses them up."""

    def __init__(self, db: Database, secret: bytes, *, clock: Clock) -> None:
        self._db = db
        self._secret = secret
        self._clock = clock

    def make(self, *bound_to: str) -> bytes:
        """Return a challenge that is valid for half an hour, for this purpose only."""
        expires_at = int(self._clock()) + LIFETIME_S
        data = secrets.token_bytes(_RANDOM_BYTES) + expires_at.to_bytes(_TIME_BYTES)
        return data + self._sign(data, bound_to)

    def take(self, challenge: bytes, *bound_to: str) -> None:
        """Use a challenge up, inside a transaction. Raises `PasskeyRefused`."""
        data, mac = challenge[:-32], challenge[-32:]
        if len(challenge) != _LENGTH or not hmac.compare_digest(mac, self._sign(data, bound_to)):
            raise PasskeyRefused
        now_s = int(self._clock())
        expires_at = int.from_bytes(data[_RANDOM_BYTES:])
        if expires_at <= now_s:
            raise PasskeyRefused("That took too long: please use your passkey again")
        self._db.run("DELETE FROM holdfast_used_challenge WHERE expiresAt <= ?", (now_s,))
        added = self._db.value(
            "INSERT INTO holdfast_used_challenge (challenge, expiresAt) VALUES (?, ?)"
            " ON CONFLICT DO NOTHING RETURNING 1",
            (data, expires_at),
        )
        if added is None:
            raise PasskeyRefused("This answer was used before: please use your passkey again")

    def _sign(self, data: bytes, bound_to: tuple[str, ...]) -> bytes:
        # No part contains a line break, so that the parts cannot be mistaken for others.
        return hmac.digest(self._secret, data + "\n".join(bound_to).encode(), "sha256")
