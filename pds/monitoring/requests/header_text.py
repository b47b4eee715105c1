"""Sanitizing headers, so that bytes that are not UTF-8 never reach their readers.

aiohttp decodes each such byte as a lone surrogate, which no database, JSON or response can encode:
code that echoes a header or looks it up in a table would fail.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

from pds.reporting import printable

_RequestFactory: TypeAlias = Any
"""Creates a request from its head, body and connection; aiohttp's type is private."""


def with_text_headers(make_request: _RequestFactory) -> _RequestFactory:
    """Wrap `make_request` so that bytes of headers that are not UTF-8 become U+FFFD."""

    def make(message: Any, *args: Any) -> web.BaseRequest:
        # Every request passes here; nearly all are plain ASCII, which takes 0.25 us to check.
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
    """Return a header in a form safe for terminals and logs, of at most `max_length` characters."""
    safe = printable(value[: max_length + 1])
    return safe if len(safe) <= max_length else f"{safe[: max_length - 1]}…"
