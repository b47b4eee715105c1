"""Headers as text: bytes that are not UTF-8 never reach what reads them.

aiohttp stands each such byte for half of a surrogate pair, which no database, no JSON and no
answer can take: whoever echoes a header, or looks for it in a table, would fail.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

from pds.reporting import printable

_RequestFactory: TypeAlias = Any
"""What makes a request of its head, its body and its connection; aiohttp's type is private."""


def with_text_headers(make_request: _RequestFactory) -> _RequestFactory:
    """`make_request` for heads of any bytes: U+FFFD stands for those that are not UTF-8."""

    def make(message: Any, *args: Any) -> web.BaseRequest:
        # Every request passes here, and nearly all are plain ASCII, as a quarter microsecond tells.
        for _, value in message.raw_headers:
            if not value.isascii():
                message = message._replace(headers=_as_text(message.headers))
                break
        request: web.BaseRequest = make_request(message, *args)
        return request

    return make


def _as_text(headers: CIMultiDictProxy[str]) -> CIMultiDictProxy[str]:
    read = ((name, _readable(value)) for name, value in headers.items())
    return CIMultiDictProxy(CIMultiDict(read))


def _readable(value: str) -> str:
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def shown(value: str, max_length: int) -> str:
    """A header as a terminal and a log may show it, of `max_length` characters at most."""
    safe = printable(value[: max_length + 1])
    return safe if len(safe) <= max_length else f"{safe[: max_length - 1]}…"
