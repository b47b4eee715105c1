"""Who is asking: what a verified Authorization header stands for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from pds.accounts.scopes import SessionScope
from repo.syntax import Did


@dataclass(slots=True, frozen=True)
class Anonymous:
    """No Authorization header, where none is needed."""


@dataclass(slots=True, frozen=True)
class UserCredentials:
    """An account, by a session's access token."""

    did: Did
    scope: SessionScope
    issued_at: float
    """Of the token, in Unix seconds."""

    @property
    def is_full(self) -> bool:
        """Whether the session was opened with the account's own password."""
        return self.scope is SessionScope.ACCESS


@dataclass(slots=True, frozen=True)
class RefreshCredentials:
    """An account, by a refresh token; `jti` names its session."""

    did: Did
    jti: str


@dataclass(slots=True, frozen=True)
class ServiceCredentials:
    """A DID, by a token that it signed for this server and this method."""

    issuer: Did


@dataclass(slots=True, frozen=True)
class AdminCredentials:
    """The administrator, by password."""


Credentials: TypeAlias = (
    Anonymous | UserCredentials | RefreshCredentials | ServiceCredentials | AdminCredentials
)
