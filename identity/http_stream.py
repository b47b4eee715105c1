"""Answers that are read while they come in, and bodies that are sent while they are made.

A `StreamedResponse` hands out the body as the host sent it, part by part and never much more than
was asked for. Whoever opened it closes it, and keeps the time.
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
"""What aiohttp raises when there is no answer, or no more of it."""


class PrivateAddress(OSError):
    """A connection was about to go to an address that is not public."""

    def __init__(self) -> None:
        # The same text for each address of a host: aiohttp then raises this very error.
        super().__init__("the address is not public")


def fetch_error(url: str, exc: Exception) -> FetchError:
    """The `FetchError` for one of `FAILURES`."""
    if isinstance(exc, aiohttp.ClientConnectorError) and isinstance(exc.os_error, PrivateAddress):
        return FetchRefused(url, str(exc.os_error))
    if isinstance(exc, aiohttp.ClientConnectorError) and exc.os_error.errno in OUT_OF_FILES:
        return FetchOutOfFiles(url, str(exc.os_error))
    if isinstance(exc, aiohttp.InvalidURL):
        return FetchRefused(url, str(exc))
    kind = FetchDisconnected if isinstance(exc, _DISCONNECTED) else FetchUnreachable
    return kind(url, str(exc) or type(exc).__name__)


class StreamedBody(aiohttp.AsyncIterablePayload):
    """A body that is sent as it is made. One that is not sent to its end ends the connection."""

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        """Send it, at the pace of the host."""
        transport = writer.transport if isinstance(writer, StreamWriter) else None
        try:
            await super().write_with_length(writer, content_length)
        except BaseException:
            # Closing alone would wait until the host has taken what is buffered for it.
            if transport is not None:
                transport.abort()
            raise


class StreamedResponse:
    """An answer that has its head, and its body perhaps only in part."""

    def __init__(self, url: str, response: aiohttp.ClientResponse) -> None:
        self._url = url
        self._response = response
        self.status: Final[int] = response.status
        self.headers: Final[CIMultiDictProxy[str]] = response.headers

    @property
    def content_length(self) -> int | None:
        """The length that the host has announced, if it has."""
        return self._response.content_length

    @property
    def at_end(self) -> bool:
        """Whether the whole body has been read."""
        return self._response.content.at_eof()

    async def read_part(self) -> bytes:
        """What has come in, or comes next; nothing at the end. Raises `FetchUnreachable`."""
        try:
            return await self._response.content.readany()
        except FAILURES as exc:
            raise fetch_error(self._url, exc) from exc

    async def read(
        self, max_bytes: int, *, before_part: Callable[[], object] = lambda: None
    ) -> bytes:
        """The rest of the body. Raises `FetchUnreachable`, and `FetchTooLarge` if it is longer.

        `before_part` is called whenever more is waited for.
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
        """Give the connection back, or cut it off where the body has not been read to its end."""
        self._response.close()
        # A body that is still being sent has somebody who writes it.
        await self._response.wait_for_close()

    def too_long(self, max_bytes: int) -> FetchTooLarge:
        """The error of an answer that is longer than its reader allows."""
        return FetchTooLarge(self._url, f"the answer is longer than {max_bytes} bytes")
