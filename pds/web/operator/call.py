"""One call of an operator's route, over HTTP or in this process."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from aiohttp import web

from pds.fairness.presence import while_present
from pds.web.context_keys import CONTEXT
from pds.xrpc.body import JSON_LIMIT_BYTES, iter_body, parse_json, read_json
from pds.xrpc.errors import XrpcError, invalid_request

if TYPE_CHECKING:
    from pds.accounts.account import ActorAccount
    from pds.context import AppContext


@dataclass(slots=True, frozen=True)
class OperatorCall:
    """An operator's call, whose password has been checked."""

    ctx: AppContext
    names: Mapping[str, str]
    """The values of the path's variables."""
    query: Mapping[str, str]
    _body: web.Request | dict[str, Any] | AsyncIterable[bytes] | None

    @classmethod
    def of(cls, request: web.Request) -> OperatorCall:
        """Create the call for an HTTP request."""
        return cls(request.app[CONTEXT], request.match_info, request.query, request)

    async def json(self) -> Any:
        """Return the JSON body. Raises `XrpcError` for any other."""
        if isinstance(self._body, web.Request):
            return parse_json(await read_json(self._body, JSON_LIMIT_BYTES))
        return self._body

    def chunks(self) -> AsyncIterable[bytes]:
        """Return the chunks of the body, as they arrive. Raises what `iter_body` raises."""
        if isinstance(self._body, web.Request):
            return iter_body(self._body)
        if isinstance(self._body, AsyncIterable):
            return self._body
        raise TypeError("the body is not a stream of bytes")

    @property
    def present(self) -> Callable[[], AbstractContextManager[None]]:
        """A factory of `with` blocks that end when the operator's client has left."""
        if isinstance(self._body, web.Request):
            return partial(while_present, self._body)
        return nullcontext

    def get_account(self) -> ActorAccount:
        """Return the account named in the path, in any state. Raises `XrpcError`."""
        identifier = self.names["account"]
        account = self.ctx.accounts.find_account(identifier, include_inactive=True)
        if account is None:
            raise XrpcError(404, "AccountNotFound", f"There is no account {identifier[:300]} here")
        return account

    def get_limit(self, *, default: int, most: int) -> int:
        """Return the parameter `limit`. Raises `XrpcError`."""
        text = self.query.get("limit", str(default))
        if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= most):
            raise invalid_request(f"limit must be a number from 1 to {most}")
        return int(text)


OperatorHandler: TypeAlias = Callable[[OperatorCall], Awaitable[dict[str, Any]]]
