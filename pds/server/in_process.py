"""The server without HTTP: an operator's calls, carried out in this process on the opened files.

They reach the handlers that answer requests, past rate limits and shares, for nobody else calls.
Relays hear of nothing: there is no server that would answer them.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from database.collector import without_collector
from database.errors import DatabaseError
from identity.plc import PlcError
from pds.context import AppContext, open_app_context
from pds.recovery.start import recover
from pds.server.app import make_router, method_table
from pds.web.operator.call import OperatorCall
from pds.web.operator.routes import ROUTES
from pds.xrpc.credentials import AdminCredentials
from pds.xrpc.error_map import to_xrpc

if TYPE_CHECKING:
    from pds.config import Settings

_NO_NAMES: Mapping[str, str] = MappingProxyType({})


class CallRefused(Exception):
    """A handler has refused a call; the message is for the operator."""


class InProcessServer:
    """A server that does not listen, and whose operator calls it in this process.

    Methods raise `CallRefused`, and as they are the errors that name a file or the PLC directory:
    `DatabaseError`, `OSError` and `PlcError`.
    """

    def __init__(self, ctx: AppContext) -> None:
        self._ctx = ctx
        self._router = make_router(ctx, method_table(ctx))

    async def call(self, nsid: str, body: dict[str, Any]) -> dict[str, Any]:
        """Call a procedure as the administrator."""
        with _refusals():
            answer = await self._router.call(nsid, body, AdminCredentials())
        return answer if isinstance(answer, dict) else {}

    async def create_account(self, body: dict[str, Any]) -> dict[str, Any]:
        """Create an account; the administrator needs no invite code for it."""
        return await self.call("com.atproto.server.createAccount", body)

    async def ask(
        self,
        verb: str,
        path: str,
        *,
        names: Mapping[str, str] = _NO_NAMES,
        query: Mapping[str, str] = _NO_NAMES,
        body: dict[str, Any] | AsyncIterable[bytes] | None = None,
    ) -> dict[str, Any]:
        """Ask the route for the operator at `path`, with `names` in the place of its variables."""
        with _refusals():
            return await ROUTES[verb, path](OperatorCall(self._ctx, names, query, body))


@asynccontextmanager
async def open_in_process(settings: Settings) -> AsyncIterator[InProcessServer]:
    """Open the files, which are ours, for the length of an `async with` block.

    Raises `ConfigError` and `DatabaseError`s.
    """
    # The schemas, which make no garbage, take half the time without it.
    with without_collector():
        ctx = await open_app_context(settings, recover)
        server = InProcessServer(ctx)
    try:
        yield server
    finally:
        await ctx.close()


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn what the caller of a handler can mend into `CallRefused`."""
    try:
        yield
    except (DatabaseError, OSError, PlcError):
        raise
    except Exception as exc:
        if to_xrpc(exc).status == 500:
            raise
        raise CallRefused(str(exc)) from exc
