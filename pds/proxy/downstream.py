"""The answer of a service on its way down to the client."""

from __future__ import annotations

from aiohttp import hdrs, web

from identity.http import StreamedResponse
from pds.proxy.headers import answer_headers
from pds.proxy.watch import Watch


class Downstream:
    """Streams one answer. `is_under_way` once the client has been told that it is one."""

    def __init__(self, request: web.Request, *, private: bool, max_bytes: int) -> None:
        self.is_under_way = False
        self._request = request
        self._private = private
        self._max_bytes = max_bytes

    async def send(self, upstream: StreamedResponse, watch: Watch) -> web.StreamResponse:
        """Pass the answer on, the client setting the pace.

        The first part is there before anything is sent, so a failure up to then can still be told.
        Raises `FetchError`; `FetchTooLarge` when the answer passes the limit.
        """
        headers = answer_headers(upstream.headers, private=self._private, as_sent=True)
        if self._request.method == hdrs.METH_HEAD:
            return web.Response(status=upstream.status, headers=headers)
        if (upstream.content_length or 0) > self._max_bytes:
            raise upstream.too_long(self._max_bytes)
        watch.await_part()
        part = await upstream.read_part()
        if upstream.at_end and len(part) <= self._max_bytes:
            # Most answers are here as a whole: one write sends head and body.
            headers.popall(hdrs.CONTENT_LENGTH, None)
            return web.Response(status=upstream.status, headers=headers, body=part)
        response = web.StreamResponse(status=upstream.status, headers=headers)
        self.is_under_way = True
        await response.prepare(self._request)
        await self._stream(response, part, upstream, watch)
        await response.write_eof()
        return response

    def cut_off(self) -> ConnectionResetError:
        """End the connection such that nobody takes what has been sent for the whole."""
        if self._request.transport is not None:
            self._request.transport.abort()
        return ConnectionResetError("the answer of a service has broken off")

    async def _stream(
        self, response: web.StreamResponse, part: bytes, upstream: StreamedResponse, watch: Watch
    ) -> None:
        size_bytes = 0
        while part:
            size_bytes += len(part)
            if size_bytes > self._max_bytes:
                raise upstream.too_long(self._max_bytes)
            watch.await_client()
            await response.write(part)
            watch.await_part()
            part = await upstream.read_part()
