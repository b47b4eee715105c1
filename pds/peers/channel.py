"""A channel to another process of the server: whole messages over one Unix socket.

What is sent in one step of the event loop is written at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeAlias, cast

from pds.peers.encoding import decode, encode

Message: TypeAlias = tuple[Any, ...]

_HEAD_BYTES: Final = 4
MAX_WAITING_BYTES: Final = 64 << 20
"""What may wait for a process that does not read: beyond it, the channel is given up."""


class ChannelClosed(ConnectionError):
    """The process at the other end has gone, or does not read."""

    def __init__(self) -> None:
        super().__init__("the other process of the server has gone")


class Channel(asyncio.Protocol):
    """One end of a channel. Messages arrive in the order in which they were sent."""

    def __init__(
        self,
        receive: Callable[[Channel, Message], None],
        closed: Callable[[Channel], None],
    ) -> None:
        """`receive` gets each message, `closed` is called once at the end; neither may raise."""
        self._receive = receive
        self._tell_closed = closed
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._outgoing: list[bytes] = []

    @property
    def is_open(self) -> bool:
        """Whether messages may be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, message: Message) -> None:
        """Send a message at the end of this step of the event loop.

        Raises `ChannelClosed`, and what pickle raises for what it cannot take.
        """
        self.send_encoded(encode(message))

    def send_encoded(self, message: bytes) -> None:
        """Send a message that `encode` made, such as one for several channels."""
        if self._transport is None or self._transport.is_closing():
            raise ChannelClosed
        if not self._outgoing:
            asyncio.get_running_loop().call_soon(self._flush)
        self._outgoing += (len(message).to_bytes(_HEAD_BYTES, "big"), message)

    def close(self) -> None:
        """Close the channel; what has been sent still arrives."""
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """See `asyncio.Protocol`."""
        self._transport = None
        self._outgoing.clear()
        self._tell_closed(self)

    def data_received(self, data: bytes) -> None:
        """Take whole messages out of what has arrived."""
        buffer = self._buffer
        buffer += data
        start = 0
        while len(buffer) - start >= _HEAD_BYTES:
            begin = start + _HEAD_BYTES
            end = begin + int.from_bytes(buffer[start:begin], "big")
            if len(buffer) < end:
                break
            # A copy, for the buffer must not be lent out while it changes.
            self._receive(self, decode(bytes(buffer[begin:end])))
            start = end
        if start:
            del buffer[:start]

    def _flush(self) -> None:
        parts, self._outgoing = self._outgoing, []
        if self._transport is None or not parts:
            return
        self._transport.write(b"".join(parts))
        if self._transport.get_write_buffer_size() > MAX_WAITING_BYTES:
            self._transport.abort()
