"""`WebFiles`: files of clients on the web, fetched once for all who need them.

Anyone can name a URL here. So what was found is remembered, good or bad; several who need one file
at once wait for one request; and memory is bounded in bytes.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from cachetools import TLRUCache

from database.timestamps import Clock
from identity.http import (
    FetchedResponse,
    FetchError,
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


class FileUnavailable(InvalidClientMetadata):
    """The file could not be fetched, or is not what it should be."""


MAX_BYTES: Final = 512 * 1024
"""Length of one file."""
FRESH_S: Final = 10 * 60
"""How long a file is used without asking again."""
FAILED_S: Final = 10
"""How long a failure is remembered: its author may be mending the file right now."""
ASK_AGAIN_S: Final = 60
"""How often at most `get_again` asks for one file."""

_CACHE_BYTES: Final = 16 * 1024 * 1024
_LEAST_BYTES: Final = 4 * 1024
"""What a file counts for in the cache at least, with what is parsed from it."""
_MAX_REASON: Final = 200
_OK: Final = 200


@dataclass(slots=True, frozen=True)
class _Kept(Generic[T]):
    """What came of a request: a value, or an error."""

    outcome: T | OAuthError
    fetched_at: float
    size_bytes: int


class WebFiles(ABC, Generic[T]):
    """What is in some files, by their URLs."""

    def __init__(self, http: SafeHttp, *, accept: str, clock: Clock = time.time) -> None:
        """`accept` is the header that says which media types are wanted."""
        self._http = http
        self._accept = accept
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
        """Return what is in a file, at most `FRESH_S` old.

        Raises `FileUnavailable`, what `_read` raises, and `TooBusy`.
        """
        kept = self._kept.get(url.href)
        return _value_of(await self._fetch(url) if kept is None else kept)

    async def get_again(self, url: Uri) -> T:
        """Return what may have changed, at most `ASK_AGAIN_S` old; else as `get`."""
        kept = self._kept.get(url.href)
        if kept is None or kept.fetched_at + ASK_AGAIN_S <= self._clock():
            kept = await self._fetch(url)
        return _value_of(kept)

    @abstractmethod
    def _read(self, url: str, response: FetchedResponse) -> T:
        """Return what is in a response of status 200. Raises `FetchError` and `OAuthError`."""

    async def _fetch(self, url: Uri) -> _Kept[T]:
        """Send a request, or wait for the one under way."""
        task = self._underway.get(url.href)
        if task is None:
            task = asyncio.create_task(self._fetch_now(url))
            self._underway[url.href] = task
            task.add_done_callback(lambda task: self._end(url.href, task))
        # The caller may leave: others wait, and the next one will need the file, too.
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
                url.href, headers={"Accept": self._accept}, max_bytes=MAX_BYTES
            )
            size = len(response.body)
            if response.status != _OK:
                raise FetchStatus(response.url, response.status, response.body)
            outcome = self._read(url.href, response)
        except FetchOutOfFiles as exc:
            # This says nothing about the file, so it is not remembered.
            raise TooBusy("requests to other servers") from exc
        except OAuthError as exc:
            outcome = exc
        except FetchError as exc:
            outcome = FileUnavailable(_reason(exc))
        kept = _Kept(outcome, self._clock(), max(size, _LEAST_BYTES))
        self._kept[url.href] = kept
        return kept


def _value_of(kept: _Kept[T]) -> T:
    if isinstance(kept.outcome, OAuthError):
        # A new error each time: one that is raised twice grows its traceback.
        raise type(kept.outcome)(kept.outcome.description)
    return kept.outcome


def _reason(exc: FetchError) -> str:
    """Say why a file could not be had, in words that tell nothing of this network."""
    if isinstance(exc, FetchUnreachable) and not isinstance(exc, FetchTimeout):
        return "the host cannot be reached, or its certificate is not valid"
    return exc.reason[:_MAX_REASON]
