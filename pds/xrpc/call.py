"""One XRPC request after the router has checked it, and what a handler may answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from aiohttp import web

from pds.accounts.hashing import OPERATOR, Asker
from pds.fairness.presence import while_present
from pds.xrpc.credentials import (
    AdminCredentials,
    Credentials,
    RefreshCredentials,
    ServiceCredentials,
    UserCredentials,
)

if TYPE_CHECKING:
    from pds.context import AppContext
    from pds.fairness.large_work import LargeTurn
    from pds.read_context import ReadContext
    from repo.syntax import Did

T = TypeVar("T")


@dataclass(slots=True)
class ReadCall:
    """What a read-only handler gets, in a server of any kind.

    Parameters and body have passed the Lexicon; the credentials have been verified.
    """

    ctx: ReadContext
    _request: web.Request | None
    params: dict[str, Any]
    credentials: Credentials
    body: dict[str, Any]
    """The JSON input; empty for methods whose input is binary or absent."""
    large: LargeTurn | None = None
    """Set if the body is so large that processing it takes long."""

    async def digest(self, fn: Callable[[], T]) -> T:
        """Return the result of `fn`, which extracts the large parts of the body and drops them.

        If the body is large, `fn` runs in a thread, and must not touch shared state.
        """
        if self.large is None:
            return fn()
        try:
            return await self.large.run(fn)
        finally:
            await self.large.end()

    @property
    def request(self) -> web.Request:
        """The HTTP request; only for methods that are never called in this process."""
        if self._request is None:
            raise TypeError("the call has no request")
        return self._request

    @property
    def address_group(self) -> str:
        """The client's address, grouped as shares are counted."""
        return self.ctx.client_addresses.of(self.request).group

    def may_see_everything_of(self, did: str) -> bool:
        """Whether the caller is the account itself or the administrator."""
        match self.credentials:
            case AdminCredentials():
                return True
            case UserCredentials(did=own):
                return own == did
            case _:
                return False


@dataclass(slots=True)
class XrpcCall(ReadCall):
    """What a handler of a full server gets."""

    ctx: AppContext

    @property
    def user(self) -> UserCredentials:
        """The signed-in account; only for methods that require one."""
        if not isinstance(self.credentials, UserCredentials):
            raise TypeError("the method does not require a signed-in account")
        return self.credentials

    @property
    def refresh(self) -> RefreshCredentials:
        """The presented refresh token; only for methods that require one."""
        if not isinstance(self.credentials, RefreshCredentials):
            raise TypeError("the method does not require a refresh token")
        return self.credentials

    @property
    def service(self) -> ServiceCredentials | None:
        """The verified service token, if that is what was presented."""
        return self.credentials if isinstance(self.credentials, ServiceCredentials) else None

    @property
    def caller(self) -> Did:
        """Who calls, by a session or a service token; only for methods that require either."""
        credentials = self.credentials
        if isinstance(credentials, UserCredentials):
            return credentials.did
        if isinstance(credentials, ServiceCredentials):
            return credentials.issuer
        raise TypeError("the method does not require an account")

    @property
    def asker(self) -> Asker:
        """The client for whom passwords are hashed, as long as it is present."""
        if self._request is None:
            return OPERATOR
        return Asker(self.address_group, partial(while_present, self.request))


@dataclass(slots=True, frozen=True)
class JsonBytes:
    """A JSON answer that is already encoded."""

    data: bytes
    status: int = 200


Answer: TypeAlias = "dict[str, Any] | JsonBytes | web.StreamResponse | None"
"""A JSON object, an answer that writes itself, or None (an empty 200)."""
