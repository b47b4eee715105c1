"""`Documents`: JSON documents of clients on the web, fetched once for all who need them.

Anyone can name a URL here. So what was found is remembered, good or bad; several who need one
document at once wait for one request; and memory is bounded in bytes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from cachetools import TLRUCache

from database.timestamps import Clock
from identity.http import (
    FetchedResponse,
    FetchError,
    FetchMalformed,
    FetchOutOfFiles,
    FetchStatus,
    FetchTimeout,
    FetchUnreachable,
    SafeHttp,
)
from pds.fairness.turns import TooBusy
from pds.oauth.clients.uris import Uri
from pds.oauth.errors import InvalidClientMetadata, OAuthError

T = TypeVar("T")


class DocumentUnavailable(InvalidClientMetadata):
    """The document could not be fetched, or is not JSON."""


MAX_BYTES: Final = 512 * 1024
"""Length of one document."""
MAX_BRACKETS: Final = 10_000
"""Objects and arrays in one document: parsing 200,000 empty ones holds the server for 0.3 s."""
FRESH_S: Final = 10 * 60
"""How long a document is used without asking again."""
FAILED_S: Final = 10
"""How long a failure is remembered: its author may be mending the document right now."""
ASK_AGAIN_S: Final = 60
"""How often at most `get_again` asks for one document."""

_CACHE_BYTES: Final = 16 * 1024 * 1024
_LEAST_BYTES: Final = 4 * 1024
"""What a document counts for in the cache at least, with what is parsed from it."""
_MAX_REASON: Final = 200
_OK: Final = 200
_JSON: Final = "application/json"


@dataclass(slots=True, frozen=True)
class _Kept(Generic[T]):
    """What came of a request: a value, or an error."""

    outcome: T | OAuthError
    fetched_at: float
    size_bytes: int


class Documents(Generic[T]):
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
        self._http = http
        self._parse = parse
        self._media_types = media_types
        self._may_lack_type = may_lack_type
        self._clock = clock
        self._underway: dict[str, asyncio.Task[_Kept[T]]] = {}
        self._kept: TLRUCache[str, _Kept[T]] = TLRUCache(
            _CACHE_BYTES,
            lambda _, kept, now: (
                now + (FAILED_S if isinstance(kept.outcome, OAuthError) else FRESH_S)
            ),
            timer=clock,
            getsizeof=lambda kept: kept.size_bytes,
        )

    async def get(self, url: Uri) -> T:
        """Return a document, at most `FRESH_S` old.

        Raises `DocumentUnavailable`, what `parse` raises, and `TooBusy`.
        """
        kept = self._kept.get(url.href)
        return _value_of(await self._fetch(url) if kept is None else kept)

    async def get_again(self, url: Uri) -> T:
        """Return a document that may have changed, at most `ASK_AGAIN_S` old; else as `get`."""
        kept = self._kept.get(url.href)
        if kept is None or kept.fetched_at + ASK_AGAIN_S <= self._clock():
            kept = await self._fetch(url)
        return _value_of(kept)

    async def _fetch(self, url: Uri) -> _Kept[T]:
        """Send a request, or wait for the one under way."""
        task = self._underway.get(url.href)
        if task is None:
            task = asyncio.create_task(self._fetch_now(url))
            self._underway[url.href] = task
            task.add_done_callback(lambda task: self._end(url.href, task))
        # The caller may leave: others wait, and the next one will need the document, too.
        return await asyncio.shield(task)

    def _end(self, href: str, task: asyncio.Task[_Kept[T]]) -> None:
        self._underway.pop(href, None)
        if not task.cancelled():
            # Marks the error as seen, if nobody waits for it any more.
            task.exception()

    async def _fetch_now(self, url: Uri) -> _Kept[T]:
        size = 0
        outcome: T | OAuthError
        try:
            response = await self._http.get(
                url.href, headers={"Accept": _JSON}, max_bytes=MAX_BYTES
            )
            size = len(response.body)
            self._check(response)
            outcome = self._parse(url.href, response.json())
        except FetchOutOfFiles as exc:
            # This says nothing about the document, so it is not remembered.
            raise TooBusy("requests to other servers") from exc
        except OAuthError as exc:
            outcome = exc
        except FetchError as exc:
            outcome = DocumentUnavailable(_reason(exc))
        kept = _Kept(outcome, self._clock(), max(size, _LEAST_BYTES))
        self._kept[url.href] = kept
        return kept

    def _check(self, response: FetchedResponse) -> None:
        """Check what is known of a response before it is parsed. Raises `FetchError`."""
        if response.status != _OK:
            raise FetchStatus(response.url, response.status, response.body)
        stated = response.headers.get("Content-Type")
        if stated is None and self._may_lack_type:
            return
        media_type = (stated or "").partition(";")[0].strip().lower()
        if media_type not in self._media_types:
            expected = " or ".join(self._media_types)
            raise FetchMalformed(response.url, f'the type of the document is not "{expected}"')
        if response.body.count(b"[") + response.body.count(b"{") > MAX_BRACKETS:
            raise FetchMalformed(response.url, f"it has over {MAX_BRACKETS} objects and arrays")


def _value_of(kept: _Kept[T]) -> T:
    if isinstance(kept.outcome, OAuthError):
        # A new error each time: one that is raised twice grows its traceback.
        raise type(kept.outcome)(kept.outcome.description)
    return kept.outcome


def _reason(exc: FetchError) -> str:
    """Say why a document could not be had, in words that tell nothing of this network."""
    if isinstance(exc, FetchUnreachable) and not isinstance(exc, FetchTimeout):
        return "the host cannot be reached, or its certificate is not valid"
    return exc.reason[:_MAX_REASON]
