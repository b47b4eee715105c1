"""Outgoing HTTP to hosts chosen by strangers: DID documents, handles, OAuth client metadata.

Private addresses are refused when the socket is created, after every name lookup and for every
redirect, so that no spelling of a host and no second DNS answer can bypass the check.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterable, Mapping
from functools import partial
from types import TracebackType
from typing import Any, Final

import aiohttp
import orjson
from aiohttp.abc import AbstractResolver
from yarl import URL

from database.open_files import OpenFiles, OutOfFiles
from identity.addresses import is_public_address
from identity.fetch import (
    FetchDisconnected,
    FetchedResponse,
    FetchError,
    FetchMalformed,
    FetchOutOfFiles,
    FetchRefused,
    FetchStatus,
    FetchTimeout,
    FetchTooLarge,
    FetchUnreachable,
)
from identity.http_stream import (
    FAILURES,
    PrivateAddress,
    StreamedBody,
    StreamedResponse,
    fetch_error,
)
from identity.share import Share, Unshared, domain_of

__all__ = [
    "FetchDisconnected",
    "FetchError",
    "FetchMalformed",
    "FetchOutOfFiles",
    "FetchRefused",
    "FetchStatus",
    "FetchTimeout",
    "FetchTooLarge",
    "FetchUnreachable",
    "FetchedResponse",
    "PrivateAddress",
    "SafeHttp",
    "StreamedResponse",
]

DEFAULT_TIMEOUT_MS: Final = 3_000
DEFAULT_MAX_BYTES: Final = 512 * 1024
DEFAULT_CONNECTIONS: Final = 100

_REDIRECTS: Final = frozenset((301, 302, 303, 307, 308))
_HEADERS: Final = {"User-Agent": "holdfast"}
_OWN_HEADERS: Final = ("Accept", "Content-Type", "User-Agent")
"""Headers that aiohttp adds to a request that lacks them."""
_UNSHARED: Final = Unshared()


class SafeHttp:
    """An HTTP client with limits. `trusted` requests are to URLs from the operator's settings.

    All others are restricted to public addresses over https, unless `allow_private` turns the
    protection off. Neither kind can use up the connections of the other. Sessions open with the
    first request; `close` ends them.
    """

    def __init__(
        self,
        *,
        allow_private: bool = False,
        timeout_ms: int = DEFAULT_TIMEOUT_MS,
        max_bytes: int = DEFAULT_MAX_BYTES,
        connections: int = DEFAULT_CONNECTIONS,
        resolver: AbstractResolver | None = None,
        share: Share | None = None,
        files: OpenFiles | None = None,
    ) -> None:
        """Set the defaults of all requests.

        `resolver` looks up the names that strangers choose, and keeps what it finds; those of the
        operator are the system's to look up. `share` bounds the requests to hosts of strangers
        that are answered as a whole. `connections` are for each kind. `files` are the open files of
        the process, of which each connection is one.
        """
        self.allow_private = allow_private
        self._timeout_ms = timeout_ms
        self._max_bytes = max_bytes
        self._connections = connections
        self._resolver = resolver
        self._files = OpenFiles() if files is None else files
        self._share = share or Unshared()
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def get(
        self,
        url: str,
        *,
        trusted: bool = False,
        headers: Mapping[str, str] | None = None,
        timeout_ms: int | None = None,
        max_bytes: int | None = None,
        max_redirects: int = 0,
    ) -> FetchedResponse:
        """Return the response to a GET, of any status. Raises `FetchError`."""
        return await self.request(
            "GET",
            url,
            trusted=trusted,
            headers=headers,
            timeout_ms=timeout_ms,
            max_bytes=max_bytes,
            max_redirects=max_redirects,
        )

    async def get_json(
        self,
        url: str,
        *,
        trusted: bool = False,
        max_bytes: int | None = None,
    ) -> Any:
        """Return the JSON of a 2xx response to a GET. Raises `FetchError`."""
        response = await self.get(
            url,
            trusted=trusted,
            headers={"Accept": "application/did+ld+json, application/json, */*;q=0.5"},
            max_bytes=max_bytes,
        )
        response.raise_for_status()
        return response.json()

    async def get_text(self, url: str, *, max_bytes: int, max_redirects: int = 0) -> str:
        """The text of a 2xx answer to a GET. Raises `FetchError`."""
        response = await self.get(url, max_bytes=max_bytes, max_redirects=max_redirects)
        response.raise_for_status()
        return response.text()

    async def post_json(
        self, url: str, value: object, *, trusted: bool = False, timeout_ms: int | None = None
    ) -> FetchedResponse:
        """Return the response to a POST of `value` as JSON, of any status. Raises `FetchError`."""
        return await self.request(
            "POST",
            url,
            trusted=trusted,
            headers={"Content-Type": "application/json"},
            body=orjson.dumps(value),
            timeout_ms=timeout_ms,
        )

    async def request(
        self,
        method: str,
        url: str,
        *,
        trusted: bool = False,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout_ms: int | None = None,
        max_bytes: int | None = None,
        max_redirects: int = 0,
    ) -> FetchedResponse:
        """Send a request and read the whole response, within a timeout that spans all redirects.

        Raises `FetchError`, and what the share raises.
        """
        limit = self._max_bytes if max_bytes is None else max_bytes
        left = max_redirects
        seconds = (self._timeout_ms if timeout_ms is None else timeout_ms) / 1_000
        target = self._allowed_url(url, trusted=trusted)
        share = _UNSHARED if trusted else self._share
        try:
            # The timeout starts with the turn: the queue has a timeout of its own.
            async with share.turn(domain_of(target.host or "")), asyncio.timeout(seconds):
                while True:
                    answer = await self._once(
                        method, target, trusted=trusted, headers=headers, body=body, limit=limit
                    )
                    if isinstance(answer, FetchedResponse):
                        return answer
                    if left <= 0 or method != "GET":
                        raise FetchRefused(url, f"redirected to {answer}")
                    left -= 1
                    target = self._allowed_url(str(answer), trusted=trusted)
        except TimeoutError as exc:
            raise FetchTimeout(url, f"no answer within {seconds:g} s") from exc

    async def open(
        self,
        method: str,
        base: str,
        path: str,
        *,
        trusted: bool = False,
        headers: Mapping[str, str],
        body: bytes | AsyncIterable[bytes] | None = None,
        decompress: bool = False,
    ) -> StreamedResponse:
        """Send a request and return once the head of the response arrives. Raises `FetchError`.

        `path`, including any query, is appended to `base` unchanged. Only the headers that frame
        the message are added, no redirect is followed, and timeouts are left to the caller. A GET
        on a connection that was just closed is sent once more.
        """
        checked = self._allowed_url(base, trusted=trusted)
        if checked.raw_query_string or checked.raw_fragment:
            raise FetchRefused(base, "not a URL that paths can be put behind")
        url = URL(base.rstrip("/") + path, encoded=True)
        try:
            response = await self._session(trusted=trusted).request(
                method,
                url,
                headers=headers,
                data=StreamedBody(body) if isinstance(body, AsyncIterable) else body,
                allow_redirects=False,
                skip_auto_headers=_OWN_HEADERS,
                auto_decompress=decompress,
            )
        except FAILURES as exc:
            raise fetch_error(str(url), exc) from exc
        return StreamedResponse(str(url), response)

    async def close(self) -> None:
        """Close all connections. The next request opens new ones."""
        sessions, self._sessions = list(self._sessions.values()), {}
        for session in sessions:
            await session.close()

    async def __aenter__(self) -> SafeHttp:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close()

    async def _once(
        self,
        method: str,
        url: URL,
        *,
        trusted: bool,
        headers: Mapping[str, str] | None,
        body: bytes | None,
        limit: int,
    ) -> FetchedResponse | URL:
        """Make one exchange. Return the response, or the URL it redirects to."""
        try:
            async with self._session(trusted=trusted).request(
                method,
                url,
                headers={**_HEADERS, **(headers or {})},
                data=body,
                allow_redirects=False,
            ) as response:
                location = response.headers.get("Location")
                if response.status in _REDIRECTS and location is not None:
                    return url.join(URL(location))
                content = await StreamedResponse(str(url), response).read(limit)
                return FetchedResponse(str(url), response.status, response.headers, content)
        except FAILURES as exc:
            raise fetch_error(str(url), exc) from exc

    def _allowed_url(self, text: str, *, trusted: bool) -> URL:
        try:
            url = URL(text)
            port = url.port
        except ValueError as exc:
            raise FetchRefused(text, "not a URL") from exc
        schemes = ("https", "http") if trusted or self.allow_private else ("https",)
        if url.scheme not in schemes or not url.host or port is None:
            raise FetchRefused(text, f"not an {' or '.join(schemes)} URL")
        if url.user is not None or url.password is not None:
            raise FetchRefused(text, "the URL carries credentials")
        return url

    def _session(self, *, trusted: bool) -> aiohttp.ClientSession:
        session = self._sessions.get(trusted)
        if session is None:
            guarded = not trusted and not self.allow_private
            resolver = None if trusted else self._resolver
            connector = aiohttp.TCPConnector(
                resolver=resolver,
                # aiohttp's own DNS cache grows with every name that a stranger invents.
                use_dns_cache=resolver is None,
                socket_factory=partial(self._socket, guarded=guarded),
                limit=self._connections,
            )
            session = self._sessions[trusted] = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                # `request` bounds the whole exchange; a second timeout would hide which expired.
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            )
        return session

    def _socket(self, address: tuple[Any, ...], *, guarded: bool) -> socket.socket:
        """Create a socket for a result of `getaddrinfo`; `guarded` allows only public addresses."""
        family, kind, protocol, _, target = address
        if guarded and not is_public_address(target[0]):
            raise PrivateAddress
        if not self._files.has_room(1):
            self._files.warn()
            raise OutOfFiles(self._files.limit)
        self._files.note_opened(1)
        return socket.socket(family, kind, protocol)
