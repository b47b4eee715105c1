"""The Range header of a request for a blob. Source: RFC 9110, sections 14.1 and 14.2."""

from __future__ import annotations

import re
from typing import Final

from aiohttp import hdrs, web

from pds.xrpc.errors import XrpcError

_RANGE: Final = re.compile(r"bytes=[ \t]*(\d{0,18})-(\d{0,18})[ \t]*", re.ASCII | re.IGNORECASE)


class RangeNotSatisfiable(XrpcError):
    """The range begins after the end."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__(416, message=f"the blob has {size_bytes} bytes")
        self._size_bytes = size_bytes

    def response(self) -> web.Response:
        """The JSON answer, with the header that tells the size."""
        response = super().response()
        response.headers[hdrs.CONTENT_RANGE] = f"bytes */{self._size_bytes}"
        return response


def parse_range(header: str | None, size_bytes: int) -> tuple[int, int] | None:
    """Return the first byte that is asked for, and the one after the last.

    None for the whole blob: without the header, and for what a server may ignore, such as several
    ranges or another unit. Raises `RangeNotSatisfiable`.
    """
    match = None if header is None else _RANGE.fullmatch(header)
    if match is None or match[1] == match[2] == "":
        return None
    if match[1] == "":
        length = min(int(match[2]), size_bytes)
        if length == 0:
            raise RangeNotSatisfiable(size_bytes)
        return size_bytes - length, size_bytes
    first = int(match[1])
    last = int(match[2]) if match[2] else size_bytes - 1
    if match[2] and last < first:
        return None
    if first >= size_bytes:
        raise RangeNotSatisfiable(size_bytes)
    return first, min(last + 1, size_bytes)
