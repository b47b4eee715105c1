"""TOTP: the six digits that an authenticator app shows for 30 seconds. Pure: callers store.

Spec: RFC 6238
"""

from __future__ import annotations

from typing import Final

import pyotp

PERIOD_S: Final = 30
DIGITS: Final = 6
_STEPS: Final = (0, -1, 1)
"""The clocks of telephones are off, and typing takes time: one step each way is accepted."""


def new_secret() -> str:
    """Return a secret to share with an app: 32 characters of base32, 160 bits."""
    return pyotp.random_base32()


def provisioning_uri(secret: str, *, account: str, issuer: str) -> str:
    """Return the `otpauth:` URI that apps read from a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=account, issuer_name=issuer)


def find_step(secret: str, code: str, *, now_s: float, after: int = -1) -> int | None:
    """Return the step of time that a code is for; None if it is wrong.

    Steps up to `after` are not accepted: store the step that is returned, and no code works twice.
    """
    totp = pyotp.TOTP(secret)
    current = int(now_s) // PERIOD_S
    # All are compared, so that the time taken tells nothing.
    matching = [
        step
        for step in (current + each for each in _STEPS)
        if totp.verify(code, for_time=step * PERIOD_S) and step > after
    ]
    return max(matching, default=None)


def is_short(code: str) -> bool:
    """Whether a text has the form of a code of an app."""
    return len(code) == DIGITS and code.isascii() and code.isdigit()
