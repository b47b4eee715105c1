"""Connections of the HTTP server, on which the head of a request must arrive in time.

aiohttp closes connections that idle; by itself it waits for the rest of a head as long as for the
next request. Bodies are timed where they are read, in `pds.xrpc.body`.
"""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

HEAD_S: Final = 30.0
"""From the connection to the end of the first head, and from the beginning to the end of others."""


class TimedRunner(web.AppRunner):
    """Runs an application on connections that are closed when a head takes too long."""

    async def _make_server(self) -> web.Server:
        # The one way that aiohttp leaves to put a connection of one's own into an application.
        made = await super()._make_server()
        return _Server(
            made.request_handler,
            request_factory=made.request_factory,
            handler_cancellation=made.handler_cancellation,
            **made._kwargs,
        )


class _Server(web.Server):
    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Connection(RequestHandler):
    __slots__ = ("_head_due",)

    _head_due: asyncio.TimerHandle | None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._head_due = self._loop.call_later(HEAD_S, self._give_up)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._head_is_missing():
            self._cancel()
        elif data and self._head_due is None:
            self._head_due = self._loop.call_later(HEAD_S, self._give_up)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._cancel()
        super().connection_lost(exc)

    def _head_is_missing(self) -> bool:
        """Whether the connection does nothing but wait for a request to be complete."""
        return not self._messages and self._waiter is not None and not self._waiter.done()

    def _give_up(self) -> None:
        self._head_due = None
        if self._head_is_missing():
            self.force_close()

    def _cancel(self) -> None:
        if self._head_due is not None:
            self._head_due.cancel()
            self._head_due = None
