"""An account's server as used by exports: queries without a login, with retries."""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
    Mapping,
)
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

import orjson
from aiohttp import hdrs
from yarl import URL

from identity.fetch import FetchError, FetchRefused, FetchUnreachable
from identity.http import SafeHttp, StreamedResponse
from pds.car.errors import ExportFailed

T = TypeVar("T")

_IDLE_TIMEOUT_S: Final = 60.0
"""Long, because a server may take a while to start sending a large repository."""
_MAX_JSON_BYTES: Final = 1024 * 1024
_MAX_REDIRECTS: Final = 3
_REDIRECTS: Final = frozenset((301, 302, 303, 307, 308))
_HEADERS: Final[Mapping[str, str]] = {
    hdrs.ACCEPT: "*/*",
    hdrs.ACCEPT_ENCODING: "gzip, deflate",
    hdrs.USER_AGENT: "holdfast",
}
_MAX_MESSAGE: Final = 500
_TOO_MANY_REQUESTS: Final = 429
_LONGEST_PAUSE_S: Final = 60.0


class RemoteFailure(ExportFailed):
    """A request had no usable response."""

    def __init__(
        self, message: str, *, is_temporary: bool = False, pause_s: float | None = None
    ) -> None:
        """`pause_s` is how long the server asks us to wait."""
        super().__init__(message)
        self.is_temporary = is_temporary
        self.pause_s = pause_s


@dataclass(slots=True, frozen=True)
class Retries:
    """The number of attempts, and the back-off between them."""

    attempts: int = 4
    pause_s: float = 1.0
    """Length of the first pause; each is twice as long as the previous one."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def run(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Retry `attempt` while it fails temporarily. Raises `RemoteFailure`."""
        pause_s = self.pause_s
        for left in range(self.attempts - 1, -1, -1):
            try:
                return await attempt()
            except RemoteFailure as exc:
                if not exc.is_temporary or not left:
                    raise
                await self.sleep(min(exc.pause_s or pause_s, _LONGEST_PAUSE_S))
                pause_s *= 2
        raise AssertionError("the last attempt returns or raises")


class RemotePds:
    """One server."""

    def __init__(self, http: SafeHttp, url: str, *, trusted: bool) -> None:
        """`trusted` means that the user named `url`, so it may be a private address."""
        self.url = url.rstrip("/")
        self._http = http
        self._trusted = trusted

    async def query(self, nsid: str, **params: str) -> Any:
        """Return the JSON response of a query. Raises `RemoteFailure`."""
        async with self._opened(nsid, params) as answer:
            content = await self._read(nsid, answer)
        try:
            return orjson.loads(content)
        except orjson.JSONDecodeError as exc:
            raise self._unusable(nsid, "it is not JSON") from exc

    async def stream(self, nsid: str, **params: str) -> AsyncGenerator[bytes, None]:
        """Yield the response of a query in parts as they arrive. Raises `RemoteFailure`."""
        async with self._opened(nsid, params) as answer:
            while True:
                with self._explained(nsid):
                    async with asyncio.timeout(_IDLE_TIMEOUT_S):
                        part = await answer.read_part()
                if not part:
                    return
                yield part

    @asynccontextmanager
    async def _opened(
        self, nsid: str, params: Mapping[str, str]
    ) -> AsyncIterator[StreamedResponse]:
        """Open a successful response, after redirects."""
        with self._explained(nsid):
            url = URL(f"{self.url}/xrpc/{nsid}?{urlencode(params)}", encoded=True)
        for _ in range(_MAX_REDIRECTS + 1):
            with self._explained(nsid):
                answer = await self._open(url)
            try:
                location = answer.headers.get(hdrs.LOCATION)
                if answer.status not in _REDIRECTS or location is None:
                    if answer.status != 200:
                        raise _refusal(nsid, self.url, answer, await self._read(nsid, answer))
                    yield answer
                    return
            finally:
                await answer.close()
            with self._explained(nsid):
                url = url.join(URL(location))
        raise self._unusable(nsid, "too many redirects")

    async def _open(self, url: URL) -> StreamedResponse:
        origin = url.origin()
        async with asyncio.timeout(_IDLE_TIMEOUT_S):
            return await self._http.open(
                "GET",
                str(origin),
                url.raw_path_qs,
                # The user has not named the target of a redirect.
                trusted=self._trusted and origin == URL(self.url).origin(),
                headers=_HEADERS,
                decompress=True,
            )

    async def _read(self, nsid: str, answer: StreamedResponse) -> bytes:
        with self._explained(nsid):
            async with asyncio.timeout(_IDLE_TIMEOUT_S):
                return await answer.read(_MAX_JSON_BYTES)

    @contextmanager
    def _explained(self, nsid: str) -> Iterator[None]:
        """Translate the errors of an exchange into `RemoteFailure`."""
        try:
            yield
        except FetchRefused as exc:
            hint = "" if self._trusted else f". To ask it nevertheless, name it: --pds {self.url}"
            raise self._unusable(nsid, f"{exc.reason}{hint}") from exc
        except FetchError as exc:
            is_temporary = isinstance(exc, FetchUnreachable)
            raise self._unusable(nsid, exc.reason, is_temporary=is_temporary) from exc
        except TimeoutError as exc:
            reason = f"silent for {_IDLE_TIMEOUT_S:g} s"
            raise self._unusable(nsid, reason, is_temporary=True) from exc
        except ValueError as exc:
            raise self._unusable(nsid, f"not a URL ({exc})") from exc

    def _unusable(self, nsid: str, reason: str, *, is_temporary: bool = False) -> RemoteFailure:
        message = f"{self.url} gives no usable answer to {nsid}: {reason}"
        return RemoteFailure(message, is_temporary=is_temporary)


def _refusal(nsid: str, url: str, answer: StreamedResponse, content: bytes) -> RemoteFailure:
    """Return the error for an unsuccessful response."""
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError:
        body = None
    told = (body.get("error"), body.get("message")) if isinstance(body, dict) else ()
    reason = ": ".join(part[:_MAX_MESSAGE] for part in told if isinstance(part, str))
    # A stranger's text must not control the terminal.
    shown = reason if reason.isprintable() else repr(reason)
    return RemoteFailure(
        f"{url} refuses {nsid}: {shown or f'status {answer.status}'}",
        is_temporary=answer.status >= 500 or answer.status == _TOO_MANY_REQUESTS,
        pause_s=_retry_after_s(answer),
    )


def _retry_after_s(answer: StreamedResponse) -> float | None:
    text = answer.headers.get(hdrs.RETRY_AFTER, "")
    return float(text) if text.isdecimal() and len(text) < 6 else None
