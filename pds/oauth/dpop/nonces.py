"""DPoP nonces: texts that the server gives out and takes back for three minutes.

They are computed from a secret and the time, so that any process accepts another's, also one of
the reference PDS with the same `PDS_DPOP_SECRET`.
"""

from __future__ import annotations

import hmac
from typing import Final

from jwt.utils import base64url_encode

from database.timestamps import Clock
from pds.oauth.derived_secrets import derived_secret

ROTATION_S: Final = 60


def nonce_secret(dpop_secret: str | None, *, jwt_secret: str) -> bytes:
    """Return the secret of nonces: `PDS_DPOP_SECRET` (hex), or one derived from the JWT secret."""
    if dpop_secret is not None:
        return bytes.fromhex(dpop_secret)
    return derived_secret(jwt_secret, "nonces of DPoP")


class DpopNonces:
    """The nonces of this minute, the last and the next one."""

    def __init__(self, secret: bytes, *, clock: Clock) -> None:
        self._secret = secret
        self._clock = clock
        self._minute = -1
        self._accepted: tuple[str, str, str] = ("", "", "")

    def next(self) -> str:
        """Return the nonce to send to clients, which is accepted for two to three minutes."""
        return self._current()[2]

    def check(self, nonce: str) -> bool:
        """Whether a client's nonce is one of those accepted now."""
        encoded = nonce.encode(errors="replace")
        return any(hmac.compare_digest(encoded, one.encode()) for one in self._current())

    def _current(self) -> tuple[str, str, str]:
        minute = int(self._clock() // ROTATION_S)
        if minute != self._minute:
            self._accepted = (self._of(minute - 1), self._of(minute), self._of(minute + 1))
            self._minute = minute
        return self._accepted

    def _of(self, minute: int) -> str:
        return base64url_encode(hmac.digest(self._secret, minute.to_bytes(8), "sha256")).decode()
