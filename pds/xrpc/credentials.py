"""Credentials: what a verified Authorization header stands for, and how it is verified."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from aiohttp import web

from pds.accounts.scopes import SessionScope
from repo.syntax import Did

if TYPE_CHECKING:
    from pds.context import AppContext


@dataclass(slots=True, frozen=True)
class Anonymous:
    """No Authorization header, for a method that needs none."""


@dataclass(slots=True, frozen=True)
class UserCredentials:
    """An account, authenticated by a session's access token."""

    did: Did
    scope: SessionScope
    issued_at: float
    """When the token was issued, in Unix seconds."""

    @property
    def is_full(self) -> bool:
        """Whether the session was opened with the account's own password."""
        return self.scope is SessionScope.ACCESS


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
