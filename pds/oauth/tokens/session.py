"""What a request, and the page of an account, learn of an OAuth session."""

from __future__ import annotations

from dataclasses import dataclass

from repo.syntax import Did


@dataclass(slots=True, frozen=True)
class OAuthSession:
    """The session of a verified access token. Times are in Unix seconds."""

    did: Did
    client_id: str
    scope: str
    """What was granted, separated by spaces, with permission sets expanded."""
    token_id: str
    device_id: str | None
    expires_at: float
    issued_at: float = 0
    """When an entryway issued the token."""


@dataclass(slots=True, frozen=True)
class ListedSession:
    """A session of an account, for its owner. Times are ISO 8601."""

    token_id: str
    client_id: str
    scope: str
    device_id: str | None
    created_at: str
    updated_at: str
    """When the session was last refreshed."""
