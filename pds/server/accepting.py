"""Connections to a listening socket that several processes share: each takes one at a time.

A loop that takes all that wait at once would leave the other processes without any.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import Final

import structlog
from aiohttp import web

_REST_S: Final = 0.1
"""The pause when no more files may be open, during which connections wait in the system."""
_SCARCE: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))

_log = structlog.get_logger(__name__)


class SharedSite(web.BaseSite):
    """Serves a runner's application on connections of a socket that other processes serve, too."""

    def __init__(self, runner: web.BaseRunner, listening: socket.socket) -> None:
        super().__init__(runner)
        self._listening = listening
        self._tasks: set[asyncio.Task[object]] = set()
        self._resuming: asyncio.TimerHandle | None = None

    @property
    def name(self) -> str:
        """The address, for logs."""
        return str(self._listening.getsockname())

    async def start(self) -> None:
        """Accept connections from now on."""
        await super().start()
        self._listening.setblocking(False)
        self._resume()

    async def stop(self) -> None:
        """Accept no more connections, which stay with the other processes."""
        if self._resuming is not None:
            self._resuming.cancel()
        asyncio.get_running_loop().remove_reader(self._listening)
        if self._tasks:
            await asyncio.wait(self._tasks)
        await super().stop()

    def _resume(self) -> None:
        self._resuming = None
        asyncio.get_running_loop().add_reader(self._listening, self._accept)

    def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            connection, _ = self._listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # Another process has taken it, or its client has left.
        except OSError as exc:
            if exc.errno not in _SCARCE:
                raise
            _log.warning("connections wait", reason=str(exc))
            loop.remove_reader(self._listening)
            self._resuming = loop.call_later(_REST_S, self._resume)
            return
        connection.setblocking(False)
        server = self._runner.server
        if server is None:
            connection.close()
            return
        task = loop.create_task(loop.connect_accepted_socket(server, connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
