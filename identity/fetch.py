"""The outcomes of an HTTP request: a complete response, or one of these errors.

FetchError
├── FetchRefused        a private address, or a disallowed scheme or URL
├── FetchOutOfFiles     this server has too many open files to connect
├── FetchUnreachable    no address, no connection, broken TLS or HTTP
│   ├── FetchDisconnected   no connection, or it ended before the response did
│   └── FetchTimeout    no complete response in time
├── FetchTooLarge       the response is longer than allowed
├── FetchStatus         the response's `status` is not 2xx
└── FetchMalformed      the body is not the expected JSON or text
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson


class FetchError(Exception):
    """A request had no usable response. `url` is the requested URL."""

    def __init__(self, url: str, reason: str) -> None:
        self.url = url
        self.reason = reason
        super().__init__(f"{url}: {reason}")


class FetchRefused(FetchError):
    """The URL leads to an address, scheme or port that this server does not connect to."""


class FetchOutOfFiles(FetchError):
    """This server has too many open files for another connection. Retry later."""


class FetchUnreachable(FetchError):
    """The host does not exist, does not answer, or does not speak TLS and HTTP properly."""


class FetchDisconnected(FetchUnreachable):
    """The connection failed or was lost: the same request may succeed next time."""


class FetchTimeout(FetchUnreachable):
    """The response was not complete in time."""


class FetchTooLarge(FetchError):
    """The response is longer than the caller allows."""


class FetchMalformed(FetchError):
    """The response is not the expected JSON or text."""


class FetchStatus(FetchError):
    """The response has a status other than 2xx. `body` is its body."""

    def __init__(self, url: str, status: int, body: bytes) -> None:
        self.status = status
        self.body = body
        super().__init__(url, f"status {status}")


@dataclass(slots=True, frozen=True)
class FetchedResponse:
    """A complete response, of any status."""

    url: str
    """The final URL, after redirects."""
    status: int
    headers: Mapping[str, str]
    """Names are case-insensitive."""
    body: bytes

    def json(self) -> Any:
        """Parse the body as JSON, whatever its content type. Raises `FetchMalformed`."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError as exc:
            raise FetchMalformed(self.url, "the answer is not JSON") from exc

    def text(self) -> str:
        """Decode the body as UTF-8. Raises `FetchMalformed`."""
        try:
            return self.body.decode()
        except UnicodeDecodeError as exc:
            raise FetchMalformed(self.url, "the answer is not UTF-8") from exc

    def raise_for_status(self) -> None:
        """Raise `FetchStatus` unless the status is 2xx."""
        if not 200 <= self.status < 300:
            raise FetchStatus(self.url, self.status, self.body)
