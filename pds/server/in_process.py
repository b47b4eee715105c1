"""The server without HTTP: an operator's calls, carried out in this process on the opened files.

They reach the same handlers as requests do, without rate limits and shares, since there are no
other callers. Relays are not notified: no server would answer them.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from database.collector import without_collector
from database.errors import DatabaseError
from identity.plc import PlcError
from pds.context import AppContext, open_app_context
from pds.hold.hold import Hold
from pds.hold.operator.routes import hold_handlers
from pds.recovery.start import recover
from pds.server.app import make_router, method_table
from pds.web.operator.call import OperatorCall
from pds.web.operator.failures import for_operator
from pds.web.operator.routes import BLOB_STORES, ROUTES
from pds.xrpc.credentials import AdminCredentials
from pds.xrpc.error_map import to_xrpc

if TYPE_CHECKING:
    from pds.config import Settings

_NO_NAMES: Mapping[str, str] = MappingProxyType({})


class CallRefused(Exception):
    """A handler refused the call; the message is for the operator."""


class InProcessServer:
    """A server that does not listen: its operator calls it in this process.

    Methods raise `CallRefused`. Errors that name a file or the PLC directory pass unchanged:
    `DatabaseError`, `OSError` and `PlcError`.
    """

    def __init__(self, ctx: AppContext) -> None:
        self._ctx = ctx
        self._router = make_router(ctx, method_table(ctx))
        self._stack = AsyncExitStack()
        self._hold: Hold | None = None
        self._is_hold_started = False

    async def call(self, nsid: str, body: dict[str, Any]) -> dict[str, Any]:
        """Call a procedure as the administrator."""
        with _refusals():
            async with self._durable():
                answer = await self._router.call(nsid, body, AdminCredentials())
        return answer if isinstance(answer, dict) else {}

    async def create_account(self, body: dict[str, Any]) -> dict[str, Any]:
        """Create an account; the administrator needs no invite code."""
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
        """Call the operator's route at `path`, with `names` as the values of its variables."""
        with _refusals():
            handler = ROUTES.get((verb, path))
            if handler is None:
                handler = hold_handlers(await self._start_hold())[verb, path]
            elif path == BLOB_STORES and self._ctx.settings.hold.enabled:
                # Layers are among the blobs. What has been uploaded becomes one before all move.
                hold = self._open_hold()
                if verb == "POST":
                    hold.oci.start()
            async with self._durable():
                return await handler(OperatorCall(self._ctx, names, query, body))

    async def close(self) -> None:
        """Close what calls have opened."""
        await self._stack.aclose()

    @asynccontextmanager
    async def _durable(self) -> AsyncIterator[None]:
        """What the block writes is durable when it has ended."""
        self._ctx.durability.begin()
        yield
        await self._ctx.durability.settle()

    def _open_hold(self) -> Hold:
        """Open the hold when it is first needed, without its actor, which may not be there yet."""
        if self._hold is None:
            self._hold = Hold(self._ctx)
            self._stack.push_async_callback(self._hold.close)
        return self._hold

    async def _start_hold(self) -> Hold:
        """Start the hold when it is first called; no relay hears of it.

        No other call needs that, and its actor may be yet to be imported.
        """
        hold = self._open_hold()
        if not self._is_hold_started:
            await hold.start(announces=False)
            self._is_hold_started = True
        return hold


@asynccontextmanager
async def open_in_process(settings: Settings) -> AsyncIterator[InProcessServer]:
    """Open the data directory's files, which the caller has locked, for an `async with` block.

    Raises `ConfigError` and `DatabaseError`s.
    """
    # Loading the schemas makes no garbage, and takes half the time without the collector.
    with without_collector():
        ctx = await open_app_context(settings, recover)
        server = InProcessServer(ctx)
    try:
        yield server
    finally:
        await server.close()
        await ctx.close()


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn what the caller of a handler can correct into `CallRefused`."""
    try:
        yield
    except (DatabaseError, OSError, PlcError):
        raise
    except Exception as exc:
        told = for_operator(exc)
        if to_xrpc(told).status == 500:
            raise
        raise CallRefused(str(told)) from exc
