"""A TCP proxy in front of a server, which stalls, cuts off or refuses in its place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final, Literal

Mode = Literal["pass", "stall", "refuse"]
_CHUNK: Final = 65_536
_REFUSAL: Final = (
    "HTTP/1.1 {} Refused\r\nContent-Type: application/xml\r\nConnection: close\r\n"
    "Content-Length: {}\r\n\r\n{}"
)
_BODY: Final = "<Error><Code>{}</Code><Message>said by a proxy</Message></Error>"


class TcpProxy:
    """Passes bytes to a port of loopback, until it is told otherwise."""

    def __init__(self, target_port: int) -> None:
        self._mode: Mode = "pass"
        self.connections = 0
        """How many were opened."""
        self.refusal = (503, "SlowDown")
        """The status and S3 code of refusals."""
        self.refused = 0
        """How many were refused."""
        self.refuse_only: int | None = None
        """Pass again after so many refusals."""
        self.upload_bytes = 0
        """What has been passed to the server."""
        self.cut_after: int | None = None
        """Cut every connection once so many bytes have been passed to the server."""
        self.port = 0
        self._target = target_port
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def mode(self) -> Mode:
        """What becomes of requests from now on: passed, held for ever, or refused."""
        return self._mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        if mode == "refuse":
            # Requests on open connections would be passed.
            self.cut()
        self._mode = mode

    @asynccontextmanager
    async def running(self) -> AsyncIterator[TcpProxy]:
        """Listen inside a `with` block."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.cut()
            await server.wait_closed()

    def cut(self) -> None:
        """Cut all connections."""
        for writer in self._open:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(writer)
        try:
            if self.mode == "refuse":
                await self._refuse(reader, writer)
                return
            back_reader, back_writer = await asyncio.open_connection("127.0.0.1", self._target)
            self._open.add(back_writer)
            try:
                await asyncio.gather(
                    self._pass(reader, back_writer, up=True),
                    self._pass(back_reader, writer, up=False),
                )
            finally:
                back_writer.transport.abort()
                self._open.discard(back_writer)
        except (OSError, asyncio.CancelledError):
            pass  # The test is over, or has cut it.
        finally:
            writer.transport.abort()
            self._open.discard(writer)

    async def _refuse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        self.refused += 1
        if self.refused == self.refuse_only:
            self.mode = "pass"
        status, code = self.refusal
        body = _BODY.format(code)
        sent = "" if request.startswith(b"HEAD ") else body
        writer.write(_REFUSAL.format(status, len(body), sent).encode())
        await writer.drain()
        writer.close()
        # What is still coming must be read, or the answer is lost.
        with suppress(OSError):
            while await reader.read(_CHUNK):
                continue

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, up: bool
    ) -> None:
        while data := await reader.read(_CHUNK):
            if self.mode == "stall":
                await asyncio.Event().wait()
            if up:
                self.upload_bytes += len(data)
                if self.cut_after is not None and self.upload_bytes >= self.cut_after:
                    self.cut()
                    return
            writer.write(data)
            await writer.drain()
        writer.close()
