"""Guessable secrets. The server starts with them, as the reference PDS does, but logs a warning."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pds.config.settings import Settings

_MIN_LENGTH: Final = 16
_MIN_DIFFERENT: Final = 6
"""Different characters; 16 random hex digits hardly ever have fewer."""


def find_weak_secrets(settings: Settings) -> list[str]:
    """Return a message, as `find_problems` does, for each secret that is too short or simple."""
    return list(_find(settings))


def _find(settings: Settings) -> Iterator[str]:
    for name, secret, danger, remedy in (
        (
            "PDS_JWT_SECRET",
            settings.secrets.jwt_secret,
            "can sign in to every account",
            "set the output of openssl rand --hex 16; everyone then has to log in again",
        ),
        (
            "PDS_ADMIN_PASSWORD",
            settings.secrets.admin_password,
            "controls this server",
            "set the output of openssl rand --hex 16",
        ),
        (
            "PDS_RATE_LIMIT_BYPASS_KEY",
            settings.limits.bypass_key,
            "bypasses every rate limit",
            "set the output of openssl rand --hex 16, or unset it",
        ),
        (
            "PDS_REPLICATION_KEY_PASSPHRASE",
            settings.replication.key_passphrase,
            "and reads the replica has every signing key",
            "set the output of openssl rand --hex 16, and replicate to a new place with it",
        ),
    ):
        if secret and _is_weak(secret):
            yield f"{name} is short or simple, and anyone who guesses it {danger}: {remedy}"


def _is_weak(secret: str) -> bool:
    return len(secret) < _MIN_LENGTH or len(set(secret)) < _MIN_DIFFERENT
