"""Scopes of session tokens, and the sets of them that endpoints accept."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class SessionScope(StrEnum):
    """What the bearer of a session token may do."""

    ACCESS = "com.atproto.access"
    """Logged in with the account's password."""
    REFRESH = "com.atproto.refresh"
    APP_PASS = "com.atproto.appPass"  # noqa: S105 - a scope
    APP_PASS_PRIVILEGED = "com.atproto.appPassPrivileged"  # noqa: S105 - a scope
    TAKENDOWN = "com.atproto.takendown"
    """Logged in to a taken-down account, to appeal or to migrate away."""
    SIGNUP_QUEUED = "com.atproto.signupQueued"


FULL: Final = frozenset({SessionScope.ACCESS})
PRIVILEGED: Final = FULL | {SessionScope.APP_PASS_PRIVILEGED}
STANDARD: Final = PRIVILEGED | {SessionScope.APP_PASS}
"""The scopes that endpoints accept by default."""


def scope_of_app_password(*, privileged: bool) -> SessionScope:
    """Return the scope of a session opened with an app password."""
    return SessionScope.APP_PASS_PRIVILEGED if privileged else SessionScope.APP_PASS
