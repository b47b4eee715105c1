"""HTTP connections: limited in number, with time limits for heads and for taking answers.

aiohttp closes connections that idle; by itself it waits for the rest of a head as long as for the
next request, and for a client that takes nothing without end. Bodies are timed where they are
read, in `pds.xrpc.body`. What is malformed is noted in a line that quotes nothing of it, if not too
often.

Each private name of aiohttp that this needs is listed in `tests/pds/server/test_private_names.py`
with its reason. Nothing else in the server uses any.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, cast

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler, _ErrInfo

from database.open_files import OpenFiles
from pds.fairness.answer_pace import AnswerPace, reset
from pds.monitoring.logs.sparse import SparseLines
from pds.monitoring.requests.header_text import with_text_headers
from pds.server.connection_limit import ConnectionLimit
from pds.server.last_answers import LastAnswers
from pds.xrpc.errors import XrpcError
from pds.xrpc.responses import add_common_headers

HEALTH_PATH: Final = "/xrpc/_health"
HEAD_S: Final = 30.0
"""From the connection to the end of the first head; for later heads, from their first byte."""
RETRY_AFTER_S: Final = 5
"""The wait that clients of surplus connections are told."""
MALFORMED_LINES: Final = 20
MALFORMED_S: Final = 60.0
"""At most so many lines about malformed heads in so many seconds; no rate limit counts those."""

_log = structlog.get_logger(__name__)


class TimedRunner(web.AppRunner):
    """Runs an application on connections that are closed when a head takes too long.

    Surplus connections are answered with 503, unless another client has more connections or the
    request is for `HEALTH_PATH`.
    """

    def __init__(
        self,
        app: web.Application,
        *,
        files: OpenFiles,
        client_of: Callable[[web.BaseRequest], str],
        **kwargs: Any,
    ) -> None:
        """`files` are the open files of the process; `kwargs` go to `AppRunner`.

        `client_of` returns the client that a request counts for.
        """
        super().__init__(app, **kwargs)
        self._limit = ConnectionLimit(files)
        self._client_of = client_of
        self.last_answers = LastAnswers()

    async def _make_server(self) -> web.Server:
        # The only hook aiohttp has for a custom connection class.
        made = await super()._make_server()
        return _Server(
            made.request_handler,
            request_factory=self.last_answers.mark(with_text_headers(made.request_factory)),
            handler_cancellation=made.handler_cancellation,
            limit=self._limit,
            client_of=self._client_of,
            **made._kwargs,  # noqa: SLF001 (see the list)
        )


class _Server(web.Server):
    def __init__(
        self,
        *args: Any,
        limit: ConnectionLimit,
        client_of: Callable[[web.BaseRequest], str],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.limit = limit
        self.malformed = SparseLines(MALFORMED_LINES, MALFORMED_S)
        self.client_of = client_of

    def __call__(self) -> RequestHandler:
        return Connection(self, loop=asyncio.get_running_loop(), **self._kwargs)

    def admit(self, connection: Connection) -> bool:
        """Return whether a new connection may send requests."""
        return self.limit.admit(connection, self._open)

    async def answer_surplus(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer the only request of a surplus connection."""
        request.protocol.close()
        connection = cast("Connection", request.protocol)
        may_stay = request.path == HEALTH_PATH or self.limit.make_way(
            connection, self.client_of(request), self._open
        )
        if may_stay:
            return await self.request_handler(request)
        message = "The server has as many connections as it can take. Try again later."
        response = XrpcError(503, message=message, retry_after_s=RETRY_AFTER_S).response()
        add_common_headers(response.headers, private=False)
        response.force_close()
        return response

    @property
    def _open(self) -> list[Connection]:
        return cast("list[Connection]", self.connections)


class Connection(RequestHandler):
    __slots__ = ("_has_asked", "_head_due", "_pace", "_server")

    _has_asked: bool
    _head_due: asyncio.TimerHandle | None
    _pace: AnswerPace
    _server: _Server

    def __init__(self, server: _Server, **kwargs: Any) -> None:
        super().__init__(server, **kwargs)
        self._server = server
        self._has_asked = False

    @property
    def is_idle(self) -> bool:
        """See `connection_limit.Connection.is_idle`."""
        return self._head_is_missing()

    @property
    def has_asked(self) -> bool:
        """See `connection_limit.Connection.has_asked`."""
        return self._has_asked

    @property
    def is_open(self) -> bool:
        """See `connection_limit.Connection.is_open`."""
        return self.transport is not None

    @property
    def unused_s(self) -> float:
        """See `connection_limit.Connection.unused_s`."""
        used_at = self._next_keepalive_close_time - self.keepalive_timeout
        return asyncio.get_running_loop().time() - used_at

    @property
    def client(self) -> str | None:
        """See `connection_limit.Connection.client`."""
        request = self.current_request
        return None if request is None else self._server.client_of(request)

    @property
    def current_request(self) -> web.BaseRequest | None:
        """The request that a handler is processing."""
        return self._current_request

    def cut_off(self) -> None:
        """See `connection_limit.Connection.cut_off`."""
        if self.transport is not None:
            reset(self.transport)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        loop = asyncio.get_running_loop()
        self._head_due = loop.call_later(HEAD_S, self._give_up)
        self._pace = AnswerPace(cast("asyncio.Transport", transport), loop)
        if not self._server.admit(self):
            self._request_handler = self._server.answer_surplus
            # Do not wait for the rest of a body either.
            self._lingering_time = 0.0

    async def start(self) -> None:
        try:
            await super().start()
        finally:
            self._pace.finish()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._pace.begin()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._pace.end()

    def resume_reading(self, resume_parser: bool = True) -> None:
        # aiohttp resumes after each part of a body, and parses nothing once more to do so. Whatever
        # it pauses, it pauses the transport as well.
        if self.transport is None or not self.transport.is_reading():
            super().resume_reading(resume_parser)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._messages and isinstance(self._messages[-1][0], _ErrInfo):
            self._end_body()
        if not self._head_is_missing():
            self._has_asked = True
            self._cancel()
        elif data and self._head_due is None:
            self._head_due = asyncio.get_running_loop().call_later(HEAD_S, self._give_up)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._cancel()
        self._server.limit.forget(self)
        self._pace.close()
        super().connection_lost(exc)

    def log_exception(self, *args: Any, **kw: Any) -> None:
        exc = kw.get("exc_info")
        if not isinstance(exc, HttpProcessingError | web.RequestPayloadError):
            super().log_exception(*args, **kw)
            return
        # The message may quote the head, such as an oversized Authorization header. It is not the
        # server's error, and a stranger can cause it at will.
        unlogged = self._server.malformed.admit()
        if unlogged is None:
            return
        transport = self.transport
        peer = transport.get_extra_info("peername") if transport is not None else None
        more = {"unlogged": unlogged} if unlogged else {}
        _log.info("malformed request", peer=peer and peer[0], reason=type(exc).__name__, **more)

    def _end_body(self) -> None:
        """Tell the reader of the current request's body that no more of it can be read."""
        request = self.current_request
        if isinstance(request, web.Request) and not request.content.is_eof():
            request.content.set_exception(web.RequestPayloadError("the body is malformed"))

    def _head_is_missing(self) -> bool:
        """Return whether the connection is only waiting for a request to be complete."""
        return not self._messages and self._waiter is not None and not self._waiter.done()

    def _give_up(self) -> None:
        self._head_due = None
        if self._head_is_missing():
            self.force_close()

    def _cancel(self) -> None:
        if self._head_due is not None:
            self._head_due.cancel()
            self._head_due = None
