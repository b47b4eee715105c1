"""Who is asking: what a verified Authorization header stands for, and its check."""

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

_Check: TypeAlias = Callable[["AppContext", web.Request], Awaitable[Credentials]]


@dataclass(slots=True, frozen=True)
class Authenticator:
    """Verifies the Authorization header of a request."""

    demands: str
    """Who may call, for docs/endpoints.md."""
    check: _Check

    def __call__(self, ctx: AppContext, request: web.Request) -> Awaitable[Credentials]:
        """Who is asking. Raises `XrpcError`, and the `AccountError`s of a bad token."""
        return self.check(ctx, request)


def demands(who: str) -> Callable[[_Check], Authenticator]:
    """Make an `Authenticator` of the decorated check."""
    return lambda check: Authenticator(who, check)
