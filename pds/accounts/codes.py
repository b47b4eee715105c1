"""Random codes: those that people type, and the ids of sessions."""

from __future__ import annotations

import base64
import secrets
from typing import Final

_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz234567"
"""Lower-case base32, in which no digit looks like a letter."""


def new_invite_code(hostname: str) -> str:
    """Return an invite code such as `pds-example-com-jrsgi-2bzdu`; 50 random bits."""
    return f"{hostname.replace('.', '-')}-{_letters(5)}-{_letters(5)}"


def new_email_token() -> str:
    """Return a token to send by mail, such as `JRSGI-2BZDU`; 50 random bits."""
    return f"{_letters(5)}-{_letters(5)}".upper()


def new_password() -> str:
    """Return an unguessable password of 24 characters."""
    return secrets.token_urlsafe(18)


def new_app_password() -> str:
    """Return the text of an app password, such as `rzqu-aryb-kv2h-55t4`; 80 random bits."""
    return "-".join(_letters(4) for _ in range(4))


def new_refresh_jti() -> str:
    """Return an id for the first refresh token of a session: 32 random bytes."""
    return encode_jti(secrets.token_bytes(32))


def encode_jti(data: bytes) -> str:
    """Encode 32 bytes as the id of a refresh token: base64 without padding."""
    return base64.b64encode(data).decode().rstrip("=")


def _letters(count: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(count))
