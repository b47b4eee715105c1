"""What a method demands of a caller who comes with an OAuth token.

Every method that takes a session declares one of these. `check` runs once the token is verified,
before the body is read, so what depends on the body is left to the handler.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn, TypeAlias

from aiohttp import web

from pds.oauth.scopes.account import AccountScope
from pds.oauth.scopes.granted import GrantedScopes
from pds.oauth.scopes.identity import IdentityScope
from pds.xrpc.body import content_type_of
from pds.xrpc.errors import XrpcError

if TYPE_CHECKING:
    from pds.context import AppContext

_Check: TypeAlias = Callable[["AppContext", web.Request, GrantedScopes], None]


@dataclass(slots=True, frozen=True)
class OAuthDemand:
    """Decides on the scopes of a token."""

    words: str
    """What is demanded, for docs/endpoints.md."""
    check: _Check
    """Raises `ScopeMissing`, or another `XrpcError`."""


def in_handler(words: str) -> OAuthDemand:
    """Leave the check to the handler, which calls a `check_…` of `call.user.granted`."""
    return OAuthDemand(words, lambda _ctx, _request, _granted: None)


def account(attribute: str, action: str) -> OAuthDemand:
    """Demand an `account:` scope."""
    return OAuthDemand(
        f"`{AccountScope(attribute, (action,))}`",
        lambda _ctx, _request, granted: granted.check_account(attribute, action),
    )


def identity(attribute: str) -> OAuthDemand:
    """Demand an `identity:` scope."""
    return OAuthDemand(
        f"`{IdentityScope(attribute)}`",
        lambda _ctx, _request, granted: granted.check_identity(attribute),
    )


def never(message: str = "OAuth credentials are not supported for this endpoint") -> OAuthDemand:
    """Refuse every OAuth token."""

    def refuse(_ctx: AppContext, _request: web.Request, _granted: GrantedScopes) -> NoReturn:
        raise XrpcError(403, message=message)

    return OAuthDemand("never", refuse)


ANY: Final = in_handler("any")
"""A valid token is enough."""
BLOB: Final = OAuthDemand(
    "`blob:` for the type",
    lambda _ctx, request, granted: granted.check_blob(content_type_of(request)),
)
"""For uploads: a `blob:` scope for the media type that the request announces."""
