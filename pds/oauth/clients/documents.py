"""`Documents`: JSON documents of clients on the web."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

from database.timestamps import Clock
from identity.http import FetchedResponse, FetchMalformed, SafeHttp
from pds.oauth.clients.web_files import WebFiles

T = TypeVar("T")

MAX_BRACKETS: Final = 10_000
"""Objects and arrays in one document: parsing 200,000 empty ones holds the server for 0.3 s."""

_JSON: Final = "application/json"


class Documents(WebFiles[T]):
    """Parsed documents by their URLs."""

    def __init__(
        self,
        http: SafeHttp,
        parse: Callable[[str, object], T],
        *,
        media_types: tuple[str, ...] = (_JSON,),
        may_lack_type: bool = False,
        clock: Clock = time.time,
    ) -> None:
        """`parse` takes a URL and the JSON found there, and raises `OAuthError`."""
        super().__init__(http, accept=_JSON, clock=clock)
        self._parse = parse
        self._media_types = media_types
        self._may_lack_type = may_lack_type

    def _read(self, url: str, response: FetchedResponse) -> T:
        self._check(response)
        return self._parse(url, response.json())

    def _check(self, response: FetchedResponse) -> None:
        """Check what is known of a response before it is parsed. Raises `FetchMalformed`."""
        stated = response.headers.get("Content-Type")
        if stated is None and self._may_lack_type:
            return
        media_type = (stated or "").partition(";")[0].strip().lower()
        if media_type not in self._media_types:
            expected = " or ".join(self._media_types)
            raise FetchMalformed(response.url, f'the type of the document is not "{expected}"')
        if response.body.count(b"[") + response.body.count(b"{") > MAX_BRACKETS:
            raise FetchMalformed(response.url, f"it has over {MAX_BRACKETS} objects and arrays")
