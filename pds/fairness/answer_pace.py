"""The minimum pace at which a client must read its response.

Unread data waits in the buffers of the connection, and its producer waits as well; neither aiohttp
nor the transport limits that. Even a client on the worst connection reads four kilobytes a second.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from typing import Final

PACE_BYTES: Final = 128 * 1024
PACE_S: Final = 30.0
"""How long a client may take for each `PACE_BYTES` while it keeps a buffer full."""
GRACE_S: Final = 600.0
GRACE_PACE_BYTES: Final = 16 * 1024
"""Bytes per second, on average, that a client must read of a response longer than `GRACE_S`."""

# `tcpi_bytes_acked` in Linux's `struct tcp_info`; other systems do not have it.
_ACKED: Final = struct.Struct("=120xQ")
_TCP_INFO: Final[int | None] = getattr(socket, "TCP_INFO", None)
_RESET: Final = struct.pack("ii", 1, 0)
"""`struct linger` with a timeout of 0, so that the client receives a reset."""


def allowed_s(taken_bytes: int) -> float:
    """Return how long a response may have lasted for a client that has read this much."""
    return GRACE_S + taken_bytes / GRACE_PACE_BYTES


class AnswerPace:
    """Aborts a connection whose client reads too little while much is buffered for it.

    Call `begin` when the transport's buffer is full, and `end` when it has room again; both are
    called for every part of a long response, so they leave a running timer alone. Call `finish`
    when the connection will close once the rest is read, `close` when it has closed.
    """

    __slots__ = (
        *("_begun", "_is_closing", "_loop", "_seen", "_seen_at", "_timer", "_transport"),
        "_waits_since",
    )

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None
        self._waits_since: float | None = None
        self._begun = self._seen = (0, 0)
        self._seen_at = 0.0
        self._is_closing = False

    def begin(self) -> None:
        """Start waiting for the client."""
        self._waits_since = self._seen_at = self._loop.time()
        self._begun = self._seen = self._look()
        if self._timer is None:
            self._timer = self._loop.call_later(PACE_S, self._check)

    def end(self) -> None:
        """Stop waiting for the client."""
        if not self._is_closing:
            self._waits_since = None

    def finish(self) -> None:
        """Expect the connection to close once its buffer is empty."""
        self._is_closing = True
        if self._transport.get_write_buffer_size():
            self.begin()

    def close(self) -> None:
        """Stop: the connection is gone."""
        self._waits_since = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _check(self) -> None:
        self._timer = None
        if self._waits_since is None:
            return
        now = self._loop.time()
        left_s = self._seen_at + PACE_S - now
        if left_s <= 0:
            seen = self._look()
            waited_s, taken = now - self._waits_since, _taken(self._begun, seen)
            if _taken(self._seen, seen) < PACE_BYTES or waited_s > allowed_s(taken):
                reset(self._transport)
                return
            self._seen, self._seen_at, left_s = seen, now, PACE_S
        self._timer = self._loop.call_later(left_s, self._check)

    def _look(self) -> tuple[int, int]:
        """Return the bytes acknowledged by the client, if known, and the bytes buffered."""
        acked = acknowledged_bytes(self._transport)
        return acked or 0, self._transport.get_write_buffer_size()


def reset(transport: asyncio.Transport) -> None:
    """End a connection, and discard everything its client has not read."""
    # Closing would wait for the client to read our buffer; a plain abort would leave the system
    # waiting for it to read the system's buffer.
    sock = transport.get_extra_info("socket")
    if sock is not None:
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()


def acknowledged_bytes(transport: asyncio.Transport) -> int | None:
    """Return the bytes acknowledged since the connection began; None if unknown."""
    sock = transport.get_extra_info("socket")
    if sock is None or _TCP_INFO is None:
        return None
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _ACKED.size)
    except OSError:
        return None  # The connection is about to be lost, or is not TCP.
    return int(_ACKED.unpack(info)[0]) if len(info) == _ACKED.size else None


def _taken(then: tuple[int, int], now: tuple[int, int]) -> int:
    # The system reports room in its own buffer in steps of up to a megabyte, so acknowledged bytes
    # count; bytes that left our buffer are the fallback for systems that do not report those.
    return max(now[0] - then[0], then[1] - now[1])
