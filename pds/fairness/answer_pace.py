"""The least pace at which a client takes what it has asked for.

What a client does not take waits in the buffers of its connection, and whoever made it waits as
well; neither aiohttp nor the transport sets a limit to that. A client on the worst of lines still
takes four kilobytes a second.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from typing import Final

PACE_BYTES: Final = 128 * 1024
PACE_S: Final = 30.0
"""How long a client may take for each `PACE_BYTES`: as long as it keeps a buffer full."""
GRACE_S: Final = 600.0
GRACE_PACE_BYTES: Final = 16 * 1024
"""What a client takes a second, on average, of an answer that lasts longer than `GRACE_S`."""

# `tcpi_bytes_acked` of Linux's `struct tcp_info`, which other systems do not have.
_ACKED: Final = struct.Struct("=120xQ")
_TCP_INFO: Final[int | None] = getattr(socket, "TCP_INFO", None)
_RESET: Final = struct.pack("ii", 1, 0)
"""`struct linger`: wait for no seconds, so that the client is told of a reset."""


def allowed_s(taken_bytes: int) -> float:
    """How long an answer may have been under way of which the client has taken so much."""
    return GRACE_S + taken_bytes / GRACE_PACE_BYTES


class AnswerPace:
    """Aborts a connection whose client takes too little while there is much to take.

    `begin` when the transport's buffer is full, `end` when there is room again: both are called for
    every part of a long answer, so they leave the timer alone once it runs. `finish` when the
    connection closes as soon as the rest is taken, `close` when it has.
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
        """The client is waited for from now on."""
        self._waits_since = self._seen_at = self._loop.time()
        self._begun = self._seen = self._look()
        if self._timer is None:
            self._timer = self._loop.call_later(PACE_S, self._check)

    def end(self) -> None:
        """Nobody waits for the client any more."""
        if not self._is_closing:
            self._waits_since = None

    def finish(self) -> None:
        """The connection closes once its buffer is empty."""
        self._is_closing = True
        if self._transport.get_write_buffer_size():
            self.begin()

    def close(self) -> None:
        """The connection is gone."""
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
        """The bytes that the client has acknowledged, if that can be known, and those buffered."""
        acked = acknowledged_bytes(self._transport)
        return acked or 0, self._transport.get_write_buffer_size()


def reset(transport: asyncio.Transport) -> None:
    """End a connection, and leave nothing of what its client has not taken."""
    # Closing would wait for the client to take what is in our buffer; an abort alone leaves it to
    # the system to do so with what is in that of the system.
    sock = transport.get_extra_info("socket")
    if sock is not None:
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()


def acknowledged_bytes(transport: asyncio.Transport) -> int | None:
    """What the client has acknowledged since the connection began; None if that is not told."""
    sock = transport.get_extra_info("socket")
    if sock is None or _TCP_INFO is None:
        return None
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _ACKED.size)
    except OSError:
        return None  # The connection is about to be lost, or is none of TCP.
    return int(_ACKED.unpack(info)[0]) if len(info) == _ACKED.size else None


def _taken(then: tuple[int, int], now: tuple[int, int]) -> int:
    # The system tells of room in its own buffer in steps of up to a megabyte, so what has been
    # acknowledged counts; what has left the buffer is for systems that do not tell that.
    return max(now[0] - then[0], then[1] - now[1])
