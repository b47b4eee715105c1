"""What an HTTP request can end with: a complete answer, or one of these errors.

FetchError
├── FetchRefused        a private address, a scheme or a URL that is not allowed
├── FetchOutOfFiles     this server has too many files open to connect
├── FetchUnreachable    no address, no connection, broken TLS or HTTP
│   ├── FetchDisconnected   no connection, or it ended before the answer did
│   └── FetchTimeout    no complete answer in time
├── FetchTooLarge       the answer is longer than allowed
├── FetchStatus         an answer whose status is not 2xx; `status` says which
└── FetchMalformed      the body is not the JSON or text it should be
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson


class FetchError(Exception):
    """A request had no usable answer. `url` is what was asked for."""

    def __init__(self, url: str, reason: str) -> None:
        self.url = url
        self.reason = reason
        super().__init__(f"{url}: {reason}")


class FetchRefused(FetchError):
    """The URL leads to an address, scheme or port that this server does not talk to."""


class FetchOutOfFiles(FetchError):
    """This server has too many files open to make one more connection. Try again later."""


class FetchUnreachable(FetchError):
    """The host does not exist, does not answer, or does not speak TLS and HTTP properly."""


class FetchDisconnected(FetchUnreachable):
    """There was no connection, or none any more: the same request may succeed the next time."""


class FetchTimeout(FetchUnreachable):
    """The answer was not complete in time."""


class FetchTooLarge(FetchError):
    """The answer is longer than the caller allows."""


class FetchMalformed(FetchError):
    """The answer is not the JSON or text that was asked for."""


class FetchStatus(FetchError):
    """The answer has a status other than 2xx. `body` is what came with it."""

    def __init__(self, url: str, status: int, body: bytes) -> None:
        self.status = status
        self.body = body
        super().__init__(url, f"status {status}")


@dataclass(slots=True, frozen=True)
class FetchedResponse:
    """A complete answer, of any status."""

    url: str
    """Where it came from, after redirects."""
    status: int
    headers: Mapping[str, str]
    """Names are case-insensitive."""
    body: bytes

    def json(self) -> Any:
        """The body as JSON whatever its content type. Raises `FetchMalformed`."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError as exc:
            raise FetchMalformed(self.url, "the answer is not JSON") from exc

    def text(self) -> str:
        """The body as UTF-8. Raises `FetchMalformed`."""
        try:
            return self.body.decode()
        except UnicodeDecodeError as exc:
            raise FetchMalformed(self.url, "the answer is not UTF-8") from exc

    def raise_for_status(self) -> None:
        """Raise `FetchStatus` unless the status is 2xx."""
        if not 200 <= self.status < 300:
            raise FetchStatus(self.url, self.status, self.body)
