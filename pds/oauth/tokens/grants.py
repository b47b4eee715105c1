"""The values of the token endpoint: who asks, what was authorized, and the answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pds.oauth.clients.authentication import ClientAuth
from pds.oauth.requests.parameters import AuthorizationParameters
from repo.syntax import Did


@dataclass(slots=True, frozen=True)
class TokenClient:
    """What tokens depend on in a client's metadata."""

    client_id: str
    auth_method: Literal["none", "private_key_jwt"]
    """How the client has to authenticate."""
    grant_types: frozenset[str]
    has_long_sessions: bool
    """Whether it is confidential, or both trusted and first-party."""


@dataclass(slots=True, frozen=True)
class CodeGrant:
    """A request that a person has authorized, and whose code was consumed."""

    code: str
    did: Did
    device_id: str | None
    client_id: str
    client_auth: ClientAuth | None
    """How the client authenticated in its pushed request; None if it had not."""
    parameters: AuthorizationParameters
    cutoff_s: int
    """The account's access cutoff when the code was consumed: a later one ends what has begun."""


@dataclass(slots=True, frozen=True)
class TokenResponse:
    """A successful answer of the token endpoint."""

    access_token: str
    refresh_token: str | None
    scope: str
    expires_in: int
    """Seconds."""
    sub: Did

    def to_json(self) -> dict[str, Any]:
        """Return the body of the answer."""
        body = {"access_token": self.access_token, "token_type": "DPoP"}
        if self.refresh_token is not None:
            body["refresh_token"] = self.refresh_token
        return {**body, "scope": self.scope, "expires_in": self.expires_in, "sub": self.sub}


@dataclass(slots=True, frozen=True)
class EndedSession:
    """A session that was ended because its code came again; its device must be signed out."""

    did: Did
    device_id: str | None
