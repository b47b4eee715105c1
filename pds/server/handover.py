"""Handing the ports of a running server to the one that takes its place.

The new server asks for the listening sockets and checks all it can before it lets the old one go.
That one answers what is under way and ends; connections made meanwhile wait in the sockets, which
both have open, until the new one accepts them.

Servers meet at an abstract Unix socket that is named for their data directory. It leaves no file
behind, fits into the 107 bytes that such names may have, and is where TCP sockets are worth
something: in one network namespace. Only the same user is answered.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import struct
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from pds.disk.data_directory import DataDirectoryHeld, DataDirectoryLock

END_S: Final = 120.0
"""How long the old server may take to end: requests, workers and replication each have a limit."""
_ANSWER_S: Final = 10.0
_POLL_S: Final = 0.02
_GO: Final = b"go"
_MOST_SOCKETS: Final = 64
_MOST_BYTES: Final = 4_096
_CREDENTIALS: Final = struct.Struct("3i")
"""Of SO_PEERCRED: pid, uid, gid."""

_log = structlog.get_logger(__name__)


class TakeOverFailed(Exception):
    """The running server does not hand over its ports; it goes on. The message says why."""


class Offer:
    """What a running server does for its successor. Belongs to one event loop."""

    def __init__(self, directory: Path, ports: Mapping[str, Sequence[socket.socket]]) -> None:
        """Offer listening sockets, by what they serve, to a server of the same data directory."""
        self._ports = ports
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listening.setblocking(False)
        try:
            self._listening.bind(_address(directory))
            self._listening.listen()
        except OSError as exc:
            _log.warning("no server can take over from this one", reason=exc.strerror)
        self._answering = asyncio.create_task(self._answer_all())

    async def close(self) -> None:
        """Offer nothing any more."""
        self._answering.cancel()
        await asyncio.wait((self._answering,))
        self._listening.close()

    async def _answer_all(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                asking, _ = await loop.sock_accept(self._listening)
            except OSError:
                return
            with asking, suppress(OSError, TimeoutError):
                if await self._hand_over(asking):
                    # As for an operator's signal.
                    signal.raise_signal(signal.SIGTERM)
                    return

    async def _hand_over(self, asking: socket.socket) -> bool:
        """Send the sockets; return whether the new server wants this one to end."""
        pid, uid = _peer_of(asking)
        if uid != os.geteuid():
            _log.warning("another user has asked for the ports", uid=uid, pid=pid)
            return False
        asking.setblocking(False)
        named = [(name, each) for name, sockets in self._ports.items() for each in sockets]
        names = json.dumps([name for name, _ in named]).encode()
        socket.send_fds(asking, [names], [each.fileno() for _, each in named])
        async with asyncio.timeout(_ANSWER_S):
            answer = await asyncio.get_running_loop().sock_recv(asking, _MOST_BYTES)
        if answer != _GO:
            return False
        _log.info("another server takes over", pid=pid)
        return True


@dataclass(slots=True)
class Predecessor:
    """A running server whose ports have been handed to this process."""

    pid: int
    ports: dict[str, list[socket.socket]]
    """The sockets by what they serve; those that are used are taken out."""
    _channel: socket.socket

    @classmethod
    def find(cls, directory: Path) -> Predecessor | None:
        """Ask the server of a data directory for its ports; return None if none runs.

        Raises `TakeOverFailed`.
        """
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        channel.settimeout(_ANSWER_S)
        try:
            channel.connect(_address(directory))
        except OSError:
            channel.close()
            return None
        try:
            pid, uid = _peer_of(channel)
            if uid != os.geteuid():
                raise TakeOverFailed(
                    f"The server of {directory} (pid {pid}) belongs to uid {uid}, and this is uid "
                    f"{os.geteuid()}. Run pds as that user."
                )
            data, fds, _, _ = socket.recv_fds(channel, _MOST_BYTES, _MOST_SOCKETS)
            sockets = [socket.socket(fileno=fd) for fd in fds]
            names = json.loads(data or b"[]")
            if not names or len(names) != len(sockets):
                raise TakeOverFailed(f"The server of {directory} (pid {pid}) is ending already.")
        except OSError as exc:
            channel.close()
            raise TakeOverFailed(
                f"The server of {directory} does not answer: {exc}. Stop it, and start this one."
            ) from exc
        except BaseException:
            channel.close()
            raise
        ports: dict[str, list[socket.socket]] = {}
        for name, each in zip(names, sockets, strict=True):
            ports.setdefault(name, []).append(each)
        return cls(pid, ports, channel)

    async def end(self, directory: Path) -> DataDirectoryLock:
        """Let it end, and lock its data directory.

        Raises `DataDirectoryError`s, `DataDirectoryHeld` if it takes longer than `END_S`.
        """
        _log.info("taking over from the running server", pid=self.pid)
        with suppress(OSError):
            self._channel.send(_GO)
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + END_S
        while True:
            try:
                return DataDirectoryLock.acquire(directory)
            except DataDirectoryHeld:
                if loop.time() > give_up_at:
                    raise
            await asyncio.sleep(_POLL_S)

    def close(self) -> None:
        """Close what has not been used. Closing twice is harmless."""
        self._channel.close()
        for sockets in self.ports.values():
            for each in sockets:
                each.close()
        self.ports.clear()


def _address(directory: Path) -> str:
    """Return where the servers of a directory meet, whatever path leads to it."""
    found = directory.stat()
    return f"\0holdfast/{found.st_dev:x}/{found.st_ino:x}"


def _peer_of(connection: socket.socket) -> tuple[int, int]:
    """Return the pid and the user of the process at the other end."""
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(data)
    return pid, uid
