"""The texts that name tokens: random hex digits behind a prefix, as in the reference PDS."""

from __future__ import annotations

import re
import secrets
from typing import Final

_TOKEN_ID: Final = re.compile(r"tok-[0-9a-f]{32}")
_REFRESH_TOKEN: Final = re.compile(r"ref-[0-9a-f]{64}")
_CODE: Final = re.compile(r"cod-[0-9a-f]{64}")


def new_token_id() -> str:
    """Return an id for an access token; 128 random bits."""
    return f"tok-{secrets.token_hex(16)}"


def new_refresh_token() -> str:
    """Return a refresh token; 256 random bits."""
    return f"ref-{secrets.token_hex(32)}"


def is_token_id(text: str) -> bool:
    """Whether a text has the form of an access token's id."""
    return _TOKEN_ID.fullmatch(text) is not None


def is_refresh_token(text: str) -> bool:
    """Whether a text has the form of a refresh token."""
    return _REFRESH_TOKEN.fullmatch(text) is not None


def is_code(text: str) -> bool:
    """Whether a text has the form of an authorization code."""
    return _CODE.fullmatch(text) is not None
