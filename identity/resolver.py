"""Resolving DIDs to DID documents, through the cache."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Final

import structlog
from cachetools import TTLCache

from identity.did_cache import DidCache
from identity.did_document import DidDocument
from identity.did_source import (
    DidNotFound,
    DidResolutionError,
    DidSource,
    DidUnresolvable,
    UnsupportedDidMethod,
)
from identity.http import SafeHttp
from identity.lookups import fresh_lookups, must_be_fresh
from identity.share import Share
from repo.syntax import Did

__all__ = [
    "DidNotFound",
    "DidResolutionError",
    "DidResolver",
    "DidUnresolvable",
    "UnsupportedDidMethod",
]

DEFAULT_STALE_TTL_MS: Final = 3_600_000
DEFAULT_MAX_TTL_MS: Final = 86_400_000
ASK_AGAIN_S: Final = 60
"""Minimum interval between refetches of a cached document that strangers trigger."""
FAILURE_S: Final = 10
"""How long a failed resolution is cached, during which no source is asked."""
_MAX_NOTED: Final = 10_000
"""DIDs remembered for either purpose; each has already cost a request."""

_log = structlog.get_logger(__name__)


class DidResolver:
    """Resolves did:plc and did:web. Concurrent requests for one DID share a fetch."""

    def __init__(
        self,
        cache: DidCache,
        http: SafeHttp,
        *,
        plc_url: str,
        plc_share: Share | None = None,
        stale_ttl_ms: int = DEFAULT_STALE_TTL_MS,
        max_ttl_ms: int = DEFAULT_MAX_TTL_MS,
        now_ms: Callable[[], int] | None = None,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Set the cache times: a document older than `stale_ttl_ms` is refreshed in the background,
        one older than `max_ttl_ms` before it is returned. For `plc_share`, see `DidSource`.
        """
        self._cache = cache
        self._source = DidSource(http, plc_url=plc_url, plc_share=plc_share)
        self._stale_ttl_ms = stale_ttl_ms
        self._max_ttl_ms = max_ttl_ms
        self._now_ms = now_ms or _wall_clock_ms
        self._own: dict[Did, Callable[[], DidDocument | None]] = {}
        self._fetches: dict[Did, asyncio.Task[DidDocument]] = {}
        self._asked_again: TTLCache[Did, None] = TTLCache(_MAX_NOTED, ASK_AGAIN_S, monotonic_s)
        self._failures: TTLCache[Did, tuple[type[DidResolutionError], str]] = TTLCache(
            _MAX_NOTED, FAILURE_S, monotonic_s
        )

    def answer_for(self, did: Did, make: Callable[[], DidDocument | None]) -> None:
        """Take the documents of `did`, which this server publishes, from `make`, uncached.

        While `make` returns None, the source is asked as for any DID.
        """
        self._own[did] = make

    def find_own(self, did: str) -> DidDocument | None:
        """Return the document of a DID that this server itself publishes, or None."""
        make = self._own.get(Did(did))
        return None if make is None else make()

    async def resolve(self, did: Did, *, force: bool = False) -> DidDocument:
        """Return the document of `did`; `force` asks its source even on a cache hit.

        Only an owner's action on their own account may use `force`, because strangers could make
        the server ask as often as they like; use `resolve_again` for those. Raises
        `DidResolutionError`, and what shares raise.
        """
        own = self.find_own(did) if self._own else None
        if own is not None:
            return own
        if not force:
            cached = self._find_cached(did)
            if cached is not None:
                return cached
            if did not in self._fetches:
                self._raise_failure(did)
        elif (earlier := self._fetches.get(did)) is not None:
            # The earlier fetch may have been answered before the change the caller knows about.
            await asyncio.wait((earlier,))
        with fresh_lookups() if force else nullcontext():
            return await self._wait_for(did)

    async def resolve_again(self, did: Did) -> DidDocument:
        """Refetch the document of `did`, because a stranger's claim contradicts the cached one.

        If it was refetched less than `ASK_AGAIN_S` ago, return the cached one. Raises
        `DidResolutionError`.
        """
        if did in self._fetches:
            return await self._wait_for(did)
        if did in self._asked_again:
            return await self.resolve(did)
        self._asked_again[did] = None
        return await self.resolve(did, force=True)

    def find_cached(self, did: Did) -> DidDocument | None:
        """Return a fresh enough document from the cache; refresh a stale one in the background.

        A DID that this server publishes needs no cache.
        """
        own = self.find_own(did) if self._own else None
        return own or self._find_cached(did)

    def _find_cached(self, did: Did) -> DidDocument | None:
        found = self._cache.find(did)
        if found is None:
            return None
        age_ms = self._now_ms() - found.updated_at_ms
        # After the clock was set back, entries have times in the future: treat them as expired.
        if not -self._stale_ttl_ms <= age_ms <= self._max_ttl_ms:
            return None
        if age_ms > self._stale_ttl_ms and did not in self._failures:
            self._fetch_once(did)
        return found.document

    async def refresh(self, did: Did) -> None:
        """Fetch a document that has just changed, so that no older one is served from now on."""
        try:
            await self.resolve(did, force=True)
        except DidResolutionError:
            await self.forget(did)

    async def forget(self, did: Did) -> None:
        """Drop `did` from the cache, such as after updating it."""
        self._failures.pop(did, None)
        self._asked_again.pop(did, None)
        await self._cache.delete(did)

    async def close(self) -> None:
        """Cancel all fetches."""
        fetches = list(self._fetches.values())
        for task in fetches:
            task.cancel()
        await asyncio.gather(*fetches, return_exceptions=True)

    async def _wait_for(self, did: Did) -> DidDocument:
        is_shared = did in self._fetches
        try:
            # Shielded, because others may wait for the same fetch if this caller is cancelled.
            return await asyncio.shield(self._fetch_once(did))
        except DidResolutionError:
            raise
        except Exception:
            if not is_shared:
                raise
            # The caller that started the fetch was refused its turn; that need not apply to us.
            return await asyncio.shield(self._fetch_once(did))

    def _raise_failure(self, did: Did) -> None:
        """Raise the cached failure of the last attempt, if it is recent."""
        if must_be_fresh() and did.startswith("did:web:"):
            return  # The owner may have set up the host since; only that host is asked again.
        failure = self._failures.get(did)
        if failure is not None:
            kind, reason = failure
            raise kind(did, reason)

    def _fetch_once(self, did: Did) -> asyncio.Task[DidDocument]:
        task = self._fetches.get(did)
        if task is None:
            task = self._fetches[did] = asyncio.create_task(self._fetch(did))
            task.add_done_callback(lambda done: self._fetched(did, done))
        return task

    def _fetched(self, did: Did, task: asyncio.Task[DidDocument]) -> None:
        del self._fetches[did]
        # Retrieve the exception here, because nobody awaits a background refresh.
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.debug("could not fetch a DID document", did=did, error=str(error))

    async def _fetch(self, did: Did) -> DidDocument:
        try:
            document = await self._source.fetch(did)
        except DidResolutionError as exc:
            if isinstance(exc, DidNotFound):
                await self._cache.delete(did)
            self._failures[did] = type(exc), exc.reason
            raise
        self._failures.pop(did, None)
        await self._cache.put(document, updated_at_ms=self._now_ms())
        return document


def _wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000
