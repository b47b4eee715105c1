"""`WholeAnswer`: an answer that is complete from the start, and is sent in one piece.

aiohttp's own answers are put together header by header, and sent part by part. That is right for
pages, streams, compressed and large answers. For a short one it takes longer than finding out what
to answer.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Final

from aiohttp import ClientConnectionResetError, HttpVersion11, hdrs, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import SERVER_SOFTWARE

from pds.monitoring.requests.request_info import ID_HEADER, REQUEST_INFO

_WITHOUT_BODY: Final = (204, 304)
_REASONS: Final = {int(status): status.phrase for status in HTTPStatus}
_has_control: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]").search


class WholeAnswer(web.StreamResponse):
    """A status, ready header lines, and a body.

    What the server adds to every answer, and what is put into `headers`, comes after those lines.
    """

    def __init__(self, status: int, lines: str, body: bytes = b"") -> None:
        """`lines` come from `lines_of`; those of connection, length and date are added."""
        super().__init__(status=status)
        self._lines = lines
        self._whole_body = body
        self._stays = False
        self._is_sent = False

    @property
    def keep_alive(self) -> bool:
        """Whether the connection stays open, once the answer is sent."""
        return self._stays

    @property
    def prepared(self) -> bool:
        """Whether the answer is sent."""
        return self._is_sent

    @property
    def body_length(self) -> int:
        """The bytes of the body, which the answer to a HEAD does not have."""
        return len(self._whole_body)

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        """Send the answer. Raises `ConnectionResetError` if the client has left."""
        if self._is_sent:
            return request.writer
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ClientConnectionResetError("Cannot write to closing transport")
        self._stays = request.keep_alive
        sent = self._head(request).encode()
        if request.method != hdrs.METH_HEAD:
            sent += self._whole_body
        self._is_sent = True
        transport.write(sent)
        if request.protocol.writing_paused:
            await request.writer.drain()
        return request.writer

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to do."""

    def _head(self, request: web.BaseRequest) -> str:
        """Return the status line, and all header lines with the empty one after them."""
        status, stays = self.status, self._stays
        version, more = "1.1", "" if stays else "Connection: close\r\n"
        if request.version < HttpVersion11:
            version, more = "1.0", "Connection: keep-alive\r\n" if stays else ""
        if status not in _WITHOUT_BODY:
            more += f"Content-Length: {len(self._whole_body)}\r\n"
        info = request.get(REQUEST_INFO)
        if info is not None:
            more += f"{ID_HEADER}: {info.request_id}\r\n"
            if info.headers:
                exposed = f"{hdrs.ACCESS_CONTROL_EXPOSE_HEADERS}: {', '.join(info.headers)}\r\n"
                more += lines_of(info.headers) + exposed
        if self.headers:
            more += lines_of(self.headers)
        return (
            f"HTTP/{version} {status} {_REASONS[status]}\r\n{self._lines}{more}"
            f"Date: {_date_of(int(time.time()))}\r\nServer: {SERVER_SOFTWARE}\r\n\r\n"
        )


def lines_of(headers: Mapping[str, str]) -> str:
    """Return headers as lines. Raises `ValueError` if one would be more than a line."""
    if any(map(_has_control, headers.values())):
        raise ValueError("a header has a control character")
    return "".join([f"{name}: {value}\r\n" for name, value in headers.items()])


@lru_cache(1)
def _date_of(epoch_s: int) -> str:
    return formatdate(epoch_s, usegmt=True)
