"""Credentials: what a verified Authorization header stands for, and how it is verified."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from aiohttp import web

from pds.accounts.scopes import SessionScope
from pds.oauth.scopes.all_granted import ALL_GRANTED
from pds.oauth.scopes.granted import GrantedScopes
from repo.syntax import Did

if TYPE_CHECKING:
    from pds.context import AppContext


@dataclass(slots=True, frozen=True)
class Anonymous:
    """No Authorization header, for a method that needs none."""


@dataclass(slots=True, frozen=True)
class UserCredentials:
    """An account, authenticated by the access token of a session, or of an OAuth client."""

    did: Did
    scope: SessionScope | None
    """What kind of session it is; None for an OAuth client."""
    issued_at: float = 0
    """When the token of a session, or of an entryway, was issued, in Unix seconds."""
    granted: GrantedScopes = ALL_GRANTED
    """What OAuth scopes allow; for a session everything, for it is limited by its kind."""
    token_id: str | None = None
    """The id of an OAuth token."""

    @property
    def is_full(self) -> bool:
        """Whether the session was opened with the account's own password."""
        return self.scope is SessionScope.ACCESS

    @property
    def uses_oauth(self) -> bool:
        """Whether an OAuth client acts for the account."""
        return self.scope is None

    def may_reach(self, sessions: frozenset[SessionScope]) -> bool:
        """Whether a method that these sessions may reach elsewhere is open to this caller.

        For an OAuth client its scopes decide, if any session may.
        """
        return bool(sessions) if self.scope is None else self.scope in sessions


@dataclass(slots=True, frozen=True)
class RefreshCredentials:
    """An account, authenticated by a refresh token; `jti` identifies its session."""

    did: Did
    jti: str


@dataclass(slots=True, frozen=True)
class ServiceCredentials:
    """A DID, authenticated by a token that it signed for this server and this method."""

    issuer: Did


@dataclass(slots=True, frozen=True)
class AdminCredentials:
    """The administrator, authenticated by password."""


Credentials: TypeAlias = (
    Anonymous | UserCredentials | RefreshCredentials | ServiceCredentials | AdminCredentials
)

_Check: TypeAlias = Callable[["AppContext", web.Request], Awaitable[Credentials]]


@dataclass(slots=True, frozen=True)
class Authenticator:
    """Verifies the Authorization header of a request."""

    demands: str
    """Who may call, for docs/endpoints.md."""
    check: _Check

    def __call__(self, ctx: AppContext, request: web.Request) -> Awaitable[Credentials]:
        """Verify the header. Raises `XrpcError`, and the `AccountError`s of a bad token."""
        return self.check(ctx, request)


def demands(who: str) -> Callable[[_Check], Authenticator]:
    """Turn the decorated check into an `Authenticator`."""
    return lambda check: Authenticator(who, check)
