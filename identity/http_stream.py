"""Streaming: responses read as they arrive, and bodies sent as they are produced.

A `StreamedResponse` returns the body as the host sent it, part by part, never much more than
requested. The caller that opened it must close it, and enforce timeouts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import StreamWriter
from multidict import CIMultiDictProxy

from database.errors import OUT_OF_FILES
from identity.fetch import (
    FetchDisconnected,
    FetchError,
    FetchOutOfFiles,
    FetchRefused,
    FetchTooLarge,
    FetchUnreachable,
)

_DISCONNECTED: Final = (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)
FAILURES: Final = (aiohttp.ClientError, OSError, ValueError)
"""Exceptions that aiohttp raises if no response arrives, or if it breaks off."""


class PrivateAddress(OSError):
    """A connection would have gone to an address that is not public."""

    def __init__(self) -> None:
        # Same text for each address of a host, so that aiohttp raises this very error.
        super().__init__("the address is not public")


def fetch_error(url: str, exc: Exception) -> FetchError:
    """Translate one of `FAILURES` into a `FetchError`."""
    if isinstance(exc, aiohttp.ClientConnectorError) and isinstance(exc.os_error, PrivateAddress):
        return FetchRefused(url, str(exc.os_error))
    if isinstance(exc, aiohttp.ClientConnectorError) and exc.os_error.errno in OUT_OF_FILES:
        return FetchOutOfFiles(url, str(exc.os_error))
    if isinstance(exc, aiohttp.InvalidURL):
        return FetchRefused(url, str(exc))
    kind = FetchDisconnected if isinstance(exc, _DISCONNECTED) else FetchUnreachable
    return kind(url, str(exc) or type(exc).__name__)


class StreamedBody(aiohttp.AsyncIterablePayload):
    """A body that is sent as it is produced. If it is not sent completely, the connection ends."""

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        """Send the body, at the pace of the host."""
        transport = writer.transport if isinstance(writer, StreamWriter) else None
        try:
            await super().write_with_length(writer, content_length)
        except BaseException:
            # Merely closing would wait until the host has accepted the buffered bytes.
            if transport is not None:
                transport.abort()
            raise


class StreamedResponse:
    """A response whose head has arrived, and perhaps part of its body."""

    def __init__(self, url: str, response: aiohttp.ClientResponse) -> None:
        self._url = url
        self._response = response
        self.status: Final[int] = response.status
        self.headers: Final[CIMultiDictProxy[str]] = response.headers

    @property
    def content_length(self) -> int | None:
        """The length announced by the host, if any."""
        return self._response.content_length

    @property
    def at_end(self) -> bool:
        """Whether the whole body has been read."""
        return self._response.content.at_eof()

    async def read_part(self) -> bytes:
        """Return the bytes that have arrived or arrive next; `b""` at the end.

        Raises `FetchUnreachable`.
        """
        try:
            return await self._response.content.readany()
        except FAILURES as exc:
            raise fetch_error(self._url, exc) from exc

    async def read(
        self, max_bytes: int, *, before_part: Callable[[], object] = lambda: None
    ) -> bytes:
        """Return the rest of the body. Raises `FetchUnreachable`, and `FetchTooLarge` if too long.

        `before_part` is called before each wait for more.
        """
        if (self.content_length or 0) > max_bytes:
            raise self.too_long(max_bytes)
        content = bytearray()
        before_part()
        while part := await self.read_part():
            content += part
            if len(content) > max_bytes:
                raise self.too_long(max_bytes)
            before_part()
        return bytes(content)

    async def close(self) -> None:
        """Return the connection to the pool, or close it if the body was not read to its end."""
        self._response.close()
        # If the request's body is still being sent, wait for its writer.
        await self._response.wait_for_close()

    def too_long(self, max_bytes: int) -> FetchTooLarge:
        """Return the error for a response that is longer than its reader allows."""
        return FetchTooLarge(self._url, f"the answer is longer than {max_bytes} bytes")
