"""Ports: bound before anything is written, and answered only when the server is ready.

Until then the system refuses connections, so that a server that is still recovering its files is
not taken for one that works. Sockets that were open before, of systemd or of a server that this one
replaces, keep connections waiting instead.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from typing import Final

from aiohttp import web

from pds.server.accepting import SharedSite
from pds.server.app import make_runner
from pds.server.draining import stop_serving

_BACKLOG: Final = 4096
"""Connections that may wait, such as for a server that takes over from another."""
_NO_SUCH_FAMILY: Final = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


class ListenError(Exception):
    """The server cannot listen on its address; the message tells the operator why."""


class BoundPort:
    """A port held by this process, on one address or on all."""

    def __init__(self, sockets: list[socket.socket], host: str, port: int) -> None:
        self._sockets = sockets
        self._host = host
        self._port = port

    @classmethod
    def bind(cls, host: str, port: int, handed: list[socket.socket] | None = None) -> BoundPort:
        """Take a port; an empty `host` is every address of the machine. Raises `ListenError`.

        Sockets of `handed` that have the right address are used, and taken out of the list.
        """
        sockets: list[socket.socket] = []
        failures: list[OSError] = []
        try:
            found = socket.getaddrinfo(
                host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
        except OSError as exc:
            raise ListenError(_explain(exc, host, port)) from exc
        for family, kind, protocol, _, address in dict.fromkeys(found):
            try:
                ready = _take(handed or [], family, address)
                sockets.append(ready or _bind(family, kind, protocol, address))
            except OSError as exc:
                failures.append(exc)
        # With all addresses, some may be of a family that the machine does not have.
        fatal = [exc for exc in failures if not sockets or exc.errno not in _NO_SUCH_FAMILY]
        if fatal:
            _close(sockets)
            raise ListenError(_explain(fatal[0], host, port)) from fatal[0]
        return cls(sockets, host, port)

    @classmethod
    def of(cls, sockets: Sequence[socket.socket]) -> BoundPort:
        """Take sockets that somebody else has bound, such as systemd."""
        host, port = sockets[0].getsockname()[:2]
        return cls(list(sockets), host, port)

    def close(self) -> None:
        """Release the port. Closing twice is harmless."""
        _close(self._sockets)

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """The sockets, for processes that share them."""
        return tuple(self._sockets)

    def open(self) -> None:
        """Let clients connect; they wait until a process accepts. Raises `ListenError`."""
        try:
            for each in self._sockets:
                each.listen(_BACKLOG)
        except OSError as exc:
            raise ListenError(_explain(exc, self._host, self._port)) from exc

    async def listen(self, stack: AsyncExitStack, app: web.Application) -> None:
        """Serve `app` until `stack` closes. Raises `ListenError`."""
        runner = make_runner(app)
        await runner.setup()
        stack.push_async_callback(stop_serving, runner)
        try:
            for each in self._sockets:
                await web.SockSite(runner, each, backlog=_BACKLOG).start()
        except OSError as exc:
            raise ListenError(_explain(exc, self._host, self._port)) from exc


async def serve_shared(
    stack: AsyncExitStack, app: web.Application, sockets: Iterable[socket.socket]
) -> None:
    """Serve `app` on listening sockets that other processes serve, too, until `stack` closes."""
    runner = make_runner(app)
    await runner.setup()
    stack.push_async_callback(stop_serving, runner)
    for each in sockets:
        await SharedSite(runner, each).start()


def _take(
    handed: list[socket.socket], family: int, address: tuple[str | int, ...] | tuple[int, bytes]
) -> socket.socket | None:
    for each in handed:
        if each.family == family and each.getsockname()[:2] == address[:2]:
            handed.remove(each)
            return each
    return None


def _bind(
    family: int, kind: int, protocol: int, address: tuple[str | int, ...] | tuple[int, bytes]
) -> socket.socket:
    bound = socket.socket(family, kind, protocol)
    try:
        # Connections left over from a server that has just ended must not block the port.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # Every IPv4 address has a socket of its own.
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(address)
    except BaseException:
        bound.close()
        raise
    return bound


def _close(sockets: list[socket.socket]) -> None:
    for each in sockets:
        each.close()


def _explain(exc: OSError, host: str, port: int) -> str:
    address = f"{host or '*'}:{port}"
    if exc.errno == errno.EADDRINUSE:
        return f"Port {port} is in use. Stop the other server, or choose another port."
    if exc.errno == errno.EACCES:
        return f"No permission to listen on {address}. Ports below 1024 need privileges."
    return f"Cannot listen on {address}: {exc.strerror or exc}."
