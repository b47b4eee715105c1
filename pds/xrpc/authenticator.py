"""`Authenticator`: what an endpoint demands of its callers, in words and as a check."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from aiohttp import web

from pds.xrpc.credentials import Credentials

if TYPE_CHECKING:
    from pds.context import AppContext

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
