"""How long OAuth sessions and their tokens last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pds.oauth.errors import InvalidGrant

ACCESS_S: Final = 60 * 60

_DAY_S: Final = 24 * 60 * 60
_YEAR_S: Final = 365.25 * _DAY_S
_SHORTEST_S: Final = 0.25
"""What is left of a session for less than that is not worth a token."""


@dataclass(slots=True, frozen=True)
class Lifetimes:
    """The limits of one kind of client, in seconds."""

    session_s: float
    """From the sign-in."""
    idle_s: float
    """Between two refreshes."""

    @staticmethod
    def of(*, has_long_sessions: bool) -> Lifetimes:
        """Return the limits of a client."""
        return LONG if has_long_sessions else SHORT

    def access_expiry(self, *, created_s: float, now_s: float) -> float:
        """Return when an access token of now expires: never after its session.

        Raises `InvalidGrant` for a session that is over.
        """
        lifetime_s = min(ACCESS_S, created_s + self.session_s - now_s)
        if lifetime_s <= _SHORTEST_S:
            raise InvalidGrant("Session expired")
        return now_s + lifetime_s

    def check_refresh(self, *, created_s: float, updated_s: float, now_s: float) -> None:
        """Raise `InvalidGrant` if a session can no longer be refreshed."""
        if now_s - created_s > self.session_s:
            raise InvalidGrant("Session expired")
        if now_s - updated_s > self.idle_s:
            raise InvalidGrant("Refresh token expired")


SHORT: Final = Lifetimes(session_s=14 * _DAY_S, idle_s=14 * _DAY_S)
"""For public clients."""
LONG: Final = Lifetimes(session_s=2 * _YEAR_S, idle_s=_YEAR_S / 4)
"""For confidential clients, and for those that are both trusted and first-party."""
