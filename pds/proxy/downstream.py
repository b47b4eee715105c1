"""A service's answer on its way to the client."""

from __future__ import annotations

from typing import Final

from aiohttp import hdrs, web
from multidict import CIMultiDict

from identity.http import StreamedResponse
from pds.proxy.headers import answer_headers
from pds.proxy.watch import Watch

HELD_BYTES: Final = 256 * 1024
"""An answer of up to this size is read before any of it is sent on, so that a client that reads
slowly does not occupy a connection to the service."""
_AT_ONCE_BYTES: Final = 64 * 1024
"""What a connection accepts in one write, whatever its client does."""


class Downstream:
    """Relays one answer. `is_under_way` is set once its head has been sent to the client."""

    def __init__(self, request: web.Request, *, private: bool, max_bytes: int) -> None:
        self.is_under_way = False
        self._request = request
        self._private = private
        self._max_bytes = max_bytes
        self._parts: list[bytes] = []
        self._size_bytes = 0

    async def take(self, upstream: StreamedResponse, watch: Watch) -> bool:
        """Read an answer, or its beginning; return whether it is complete. Raises as `send_on`."""
        if self._request.method == hdrs.METH_HEAD:
            return True
        if (upstream.content_length or 0) > self._max_bytes:
            raise upstream.too_long(self._max_bytes)
        while self._size_bytes <= HELD_BYTES:
            part = await self._read(upstream, watch)
            self._parts.append(part)
            if not part or upstream.at_end:
                return True
        return False

    async def send_whole(self, upstream: StreamedResponse, watch: Watch) -> web.StreamResponse:
        """Send an answer that has been read completely."""
        headers = self._headers(upstream)
        if self._request.method == hdrs.METH_HEAD:
            return web.Response(status=upstream.status, headers=headers)
        headers.popall(hdrs.CONTENT_LENGTH, None)
        if self._size_bytes <= _AT_ONCE_BYTES:
            # Most answers: one write sends head and body.
            body = b"".join(self._parts)
            return web.Response(status=upstream.status, headers=headers, body=body)
        headers[hdrs.CONTENT_LENGTH] = str(self._size_bytes)
        response = await self._begin(upstream, headers, watch)
        await response.write_eof()
        return response

    async def send_on(self, upstream: StreamedResponse, watch: Watch) -> web.StreamResponse:
        """Send what has been read, then the rest as it arrives, at the client's pace.

        Raises `FetchError`; `FetchTooLarge` when the answer exceeds the limit.
        """
        response = await self._begin(upstream, self._headers(upstream), watch)
        while part := await self._read(upstream, watch):
            await _write(response, part, watch)
        await response.write_eof()
        return response

    def cut_off(self) -> ConnectionResetError:
        """Abort the connection, so that the client does not take the part it got for the whole."""
        if self._request.transport is not None:
            self._request.transport.abort()
        return ConnectionResetError("the answer of a service has broken off")

    def _headers(self, upstream: StreamedResponse) -> CIMultiDict[str]:
        return answer_headers(upstream.headers, private=self._private, as_sent=True)

    async def _begin(
        self, upstream: StreamedResponse, headers: CIMultiDict[str], watch: Watch
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=upstream.status, headers=headers)
        self.is_under_way = True
        await response.prepare(self._request)
        parts, self._parts = self._parts, []
        for part in parts:
            await _write(response, part, watch)
        return response

    async def _read(self, upstream: StreamedResponse, watch: Watch) -> bytes:
        watch.await_part()
        part = await upstream.read_part()
        self._size_bytes += len(part)
        if self._size_bytes > self._max_bytes:
            raise upstream.too_long(self._max_bytes)
        return part


async def _write(response: web.StreamResponse, part: bytes, watch: Watch) -> None:
    watch.await_others()  # A client that reads too slowly is cut off by `AnswerPace`.
    await response.write(part)
