"""Writing many WebSocket messages at once.

A subscriber that has several events to get receives them in one write to its connection: each write
costs the server as much time as some twenty frames.
Framing: https://www.rfc-editor.org/rfc/rfc6455#section-5.2
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

WRITE_BYTES: Final = 64 * 1024
"""The size at which messages are written without waiting for more."""
_FINAL_BINARY: Final = 0x82
_SHORT: Final = 126
_MEDIUM: Final = 1 << 16


class FrameWriter:
    """Collects binary messages of one WebSocket, whose answer is prepared, and writes them."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        """With a `writer_limit` of 1, the socket waits whenever its connection is full."""
        self._socket = socket
        self._request = request
        self._parts: list[bytes] = []
        self._last = b""
        self.waiting_bytes = 0
        """The size of what has been added since the last write."""

    def add(self, message: bytes) -> None:
        """Add a message, to be sent with the next `write`."""
        if self._last:
            self._parts += (_head(len(self._last)), self._last)
        self._last = message
        self.waiting_bytes += len(message)

    async def write(self) -> None:
        """Send what was added, and wait while the client does not read.

        Raises `ConnectionError`.
        """
        parts, last = self._parts, self._last
        self._parts, self._last, self.waiting_bytes = [], b"", 0
        transport = self._request.transport
        if parts and transport is not None and not transport.is_closing():
            transport.write(b"".join(parts))
        if last:
            # It waits until the connection takes more, and notices one that is closed.
            await self._socket.send_bytes(last)


def _head(length: int) -> bytes:
    """Return the head of a final, unmasked binary frame."""
    if length < _SHORT:
        return bytes((_FINAL_BINARY, length))
    if length < _MEDIUM:
        return bytes((_FINAL_BINARY, _SHORT)) + length.to_bytes(2, "big")
    return bytes((_FINAL_BINARY, 127)) + length.to_bytes(8, "big")
