"""DIDs to DID documents, through the cache.

DidResolutionError
├── UnsupportedDidMethod    neither did:plc nor did:web of a whole host
├── DidNotFound             the directory or host says there is no such DID
└── DidUnresolvable         no usable answer; `reason` says why

Spec: https://atproto.com/specs/did#blessed-did-methods
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from typing import Final

import structlog

from identity.addresses import is_public_address
from identity.did_cache import DidCache
from identity.did_document import DidDocument, InvalidDidDocument
from identity.http import FetchError, FetchStatus, SafeHttp
from repo.syntax import Did

DEFAULT_STALE_TTL_MS: Final = 3_600_000
DEFAULT_MAX_TTL_MS: Final = 86_400_000

MAX_DOCUMENT_BYTES: Final = 128 * 1024
"""Longest document that is read; usual ones have one or two thousand bytes."""

_GONE: Final = frozenset((404, 410))
"""A DID that a directory does not know, or that is tombstoned."""
_WEB_HOST: Final = re.compile(r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*(?:%3[Aa][0-9]{1,5})?").fullmatch

_log = structlog.get_logger(__name__)


class DidResolutionError(Exception):
    """`did` has no document that this server can use."""

    def __init__(self, did: Did, reason: str) -> None:
        self.did = did
        self.reason = reason
        super().__init__(f"Could not resolve DID: {did} ({reason})")


class UnsupportedDidMethod(DidResolutionError):
    """The DID's method, or its form within the method, is not used in atproto."""


class DidNotFound(DidResolutionError):
    """There is no such DID, or it is tombstoned."""


class DidUnresolvable(DidResolutionError):
    """The directory or host did not answer with a document for this DID."""


class DidResolver:
    """Resolves did:plc and did:web. A DID is fetched once at a time, however many ask for it."""

    def __init__(
        self,
        cache: DidCache,
        http: SafeHttp,
        *,
        plc_url: str,
        stale_ttl_ms: int = DEFAULT_STALE_TTL_MS,
        max_ttl_ms: int = DEFAULT_MAX_TTL_MS,
        now_ms: Callable[[], int] | None = None,
    ) -> None:
        """Documents older than `stale_ttl_ms` are refreshed behind the answer; older than
        `max_ttl_ms`, before it.
        """
        self._cache = cache
        self._http = http
        self._plc_url = plc_url.rstrip("/")
        self._stale_ttl_ms = stale_ttl_ms
        self._max_ttl_ms = max_ttl_ms
        self._now_ms = now_ms or _wall_clock_ms
        self._fetches: dict[Did, asyncio.Task[DidDocument]] = {}

    async def resolve(self, did: Did, *, force: bool = False) -> DidDocument:
        """The document of `did`; `force` asks its source even if the cache knows.

        Raises `DidResolutionError`.
        """
        cached = None if force else self.find_cached(did)
        if cached is not None:
            return cached
        # Shielded: others may wait for the same fetch when this caller is cancelled.
        return await asyncio.shield(self._fetch_once(did))

    def find_cached(self, did: Did) -> DidDocument | None:
        """The document if the cache has one young enough; refreshes it unseen when it is stale."""
        found = self._cache.find(did)
        if found is None:
            return None
        age_ms = self._now_ms() - found.updated_at_ms
        # A clock that was set back leaves times in the future: those entries count as expired.
        if not -self._stale_ttl_ms <= age_ms <= self._max_ttl_ms:
            return None
        if age_ms > self._stale_ttl_ms:
            self._fetch_once(did)
        return found.document

    async def refresh(self, did: Did) -> None:
        """Fetch a document that has changed now, so that no older one is served from here on."""
        try:
            await self.resolve(did, force=True)
        except DidResolutionError:
            self.forget(did)

    def forget(self, did: Did) -> None:
        """Drop `did` from the cache, as after an update of it."""
        self._cache.delete(did)

    async def close(self) -> None:
        """Stop refreshing."""
        fetches = list(self._fetches.values())
        for task in fetches:
            task.cancel()
        await asyncio.gather(*fetches, return_exceptions=True)

    def _fetch_once(self, did: Did) -> asyncio.Task[DidDocument]:
        task = self._fetches.get(did)
        if task is None:
            task = self._fetches[did] = asyncio.create_task(self._fetch(did))
            task.add_done_callback(lambda done: self._fetched(did, done))
        return task

    def _fetched(self, did: Did, task: asyncio.Task[DidDocument]) -> None:
        del self._fetches[did]
        # Looked at here, because nobody waits for a refresh in the background.
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.debug("could not fetch a DID document", did=did, error=str(error))

    async def _fetch(self, did: Did) -> DidDocument:
        try:
            document = DidDocument.parse(await self._fetch_json(did), did)
        except DidNotFound:
            self._cache.delete(did)
            raise
        except FetchError as exc:
            raise DidUnresolvable(did, exc.reason) from exc
        except InvalidDidDocument as exc:
            raise DidUnresolvable(did, str(exc)) from exc
        self._cache.put(document, updated_at_ms=self._now_ms())
        return document

    async def _fetch_json(self, did: Did) -> object:
        if did.startswith("did:plc:"):
            return await self._fetch_plc(did)
        if did.startswith("did:web:"):
            return await self._fetch_web(did)
        raise UnsupportedDidMethod(did, "unsupported DID method")

    async def _fetch_plc(self, did: Did) -> object:
        try:
            url = f"{self._plc_url}/{did}"
            return await self._http.get_json(url, trusted=True, max_bytes=MAX_DOCUMENT_BYTES)
        except FetchStatus as exc:
            if exc.status in _GONE:
                raise DidNotFound(did, "not registered") from exc
            raise

    async def _fetch_web(self, did: Did) -> object:
        try:
            return await self._http.get_json(self._web_url(did), max_bytes=MAX_DOCUMENT_BYTES)
        except FetchStatus as exc:
            raise DidNotFound(did, exc.reason) from exc

    def _web_url(self, did: Did) -> str:
        name = did.removeprefix("did:web:")
        if _WEB_HOST(name) is None:
            raise UnsupportedDidMethod(did, "a did:web must be a host, without a path")
        host, _, port = name.replace("%3a", "%3A").partition("%3A")
        scheme = "http" if self._is_local(host) else "https"
        return f"{scheme}://{host}{':' if port else ''}{port}/.well-known/did.json"

    def _is_local(self, host: str) -> bool:
        """Whether `host` has no certificate: this machine, or a private network's address."""
        if host == "localhost":
            return True
        is_address = re.fullmatch(r"[0-9.]+", host) is not None
        return self._http.allow_private and is_address and not is_public_address(host)


def _wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000
