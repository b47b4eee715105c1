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
_NO_HEADERS: Final[dict[str, str]] = {}


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
        writer = request.writer
        if self._is_sent:
            return writer
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ClientConnectionResetError("Cannot write to closing transport")
        self._stays = request.keep_alive
        head = self._head(request).encode()
        self._is_sent = True
        transport.write(head if request.method == hdrs.METH_HEAD else head + self._whole_body)
        if request.protocol.writing_paused:
            await writer.drain()
        return writer

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to do."""

    def _head(self, request: web.BaseRequest) -> str:
        status, stays = self.status, self._stays
        version, more = "1.1", "" if stays else "Connection: close\r\n"
        if request.version < HttpVersion11:
            version, more = "1.0", "Connection: keep-alive\r\n" if stays else ""
        if status not in _WITHOUT_BODY:
            more += f"Content-Length: {len(self._whole_body)}\r\n"
        return (
            f"HTTP/{version} {status} {_REASONS[status]}\r\n{self._lines}{more}"
            f"Date: {_date()}\r\nServer: {SERVER_SOFTWARE}\r\n{self._added(request)}\r\n"
        )

    def _added(self, request: web.BaseRequest) -> str:
        """Return the lines of what was added to this answer, and of what every answer has."""
        info = request.get(REQUEST_INFO)
        added = "" if info is None else f"{ID_HEADER}: {info.request_id}\r\n"
        told = _NO_HEADERS if info is None else info.headers
        if told:
            added += lines_of(told) + f"{hdrs.ACCESS_CONTROL_EXPOSE_HEADERS}: {', '.join(told)}\r\n"
        return added + lines_of(self.headers) if self.headers else added


def lines_of(headers: Mapping[str, str]) -> str:
    """Return headers as lines. Raises `ValueError` if one would be more than a line."""
    if any(map(_has_control, headers.values())):
        raise ValueError("a header has a control character")
    return "".join([f"{name}: {value}\r\n" for name, value in headers.items()])


def _date() -> str:
    return _date_of(int(time.time()))


@lru_cache(1)
def _date_of(epoch_s: int) -> str:
    return formatdate(epoch_s, usegmt=True)
