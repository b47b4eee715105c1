"""Notifying relays of new events: com.atproto.sync.requestCrawl."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from ipaddress import ip_address
from itertools import chain, repeat
from typing import Final
from urllib.parse import urlsplit

import orjson
import structlog

from identity.fetch import FetchedResponse, FetchError
from identity.http import SafeHttp

INTERVAL_S: Final = 20 * 60.0
"""Subscribed relays see every event anyway; notifications are for those that lost the server."""
ANNOUNCEMENT_DELAYS_S: Final = (5.0, 30.0, 120.0, 600.0, 3600.0)
_ANSWER_MS: Final = 10_000

_log = structlog.get_logger(__name__)


class CrawlNotRequested(Exception):
    """A relay did not accept the request; the message says why."""


async def request_crawl(http: SafeHttp, crawler: str, *, host: str, trusted: bool = True) -> None:
    """Ask the relay with the base URL `crawler` to crawl `host`. Raises `CrawlNotRequested`."""
    if _is_in_vain(crawler, host=host):
        raise CrawlNotRequested(f"it is not on this machine, so it cannot reach {host}")
    url = f"{crawler}/xrpc/com.atproto.sync.requestCrawl"
    try:
        response = await http.post_json(
            url, {"hostname": host}, trusted=trusted, timeout_ms=_ANSWER_MS
        )
    except FetchError as exc:
        raise CrawlNotRequested(exc.reason) from exc
    if not 200 <= response.status < 300:
        raise CrawlNotRequested(_reason(response))


class Crawlers:
    """The relays that are notified of new events, at most once in `interval_s` seconds.

    `host` is the address of this server; if it is localhost, only relays on this machine are
    notified. The first event is announced immediately. Those that follow within the interval are
    announced at its end, unlike in the reference PDS: a relay that was down at the first
    notification receives the second.
    """

    def __init__(
        self, urls: Iterable[str], *, host: str, http: SafeHttp, interval_s: float = INTERVAL_S
    ) -> None:
        self.on_answer: Callable[[str, str], Awaitable[None]] | None = None
        """Awaited with the URL of a relay, and why it did not accept; empty if it did."""
        self._urls = tuple(url for url in urls if not _is_in_vain(url, host=host))
        self._host = host
        self._http = http
        self._interval_s = interval_s
        self._earliest_s = 0.0
        self._due: asyncio.Handle | None = None
        self._telling: set[asyncio.Task[None]] = set()
        self._failing: set[str] = set()
        self._closed = False

    def notify_soon(self) -> None:
        """Schedule a notification of new events. Returns immediately and never raises."""
        if self._due is not None or self._closed or not self._urls:
            return
        loop = asyncio.get_running_loop()
        self._due = loop.call_at(max(self._earliest_s, loop.time()), self._notify)

    async def ask(self, url: str, *, trusted: bool = True) -> None:
        """Ask a host to crawl this server, now. Raises `CrawlNotRequested`.

        One that is not `trusted` cannot be in a private network.
        """
        try:
            await request_crawl(self._http, url, host=self._host, trusted=trusted)
        except CrawlNotRequested as exc:
            await self._note(url, str(exc))
            raise
        await self._note(url, "")

    async def _note(self, url: str, reason: str) -> None:
        if self.on_answer is not None:
            await self.on_answer(url, reason)

    async def close(self) -> None:
        """Cancel running notifications, and send no more."""
        self._closed = True
        if self._due is not None:
            self._due.cancel()
        for task in self._telling:
            task.cancel()
        await asyncio.gather(*self._telling, return_exceptions=True)

    def _notify(self) -> None:
        self._due = None
        loop = asyncio.get_running_loop()
        self._earliest_s = loop.time() + self._interval_s
        for url in self._urls:
            task = loop.create_task(self._tell(url))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def _tell(self, url: str) -> None:
        try:
            await self.ask(url)
        except CrawlNotRequested as exc:
            if url not in self._failing:
                self._failing.add(url)
                _log.warning("a relay cannot be notified of new events", relay=url, reason=str(exc))
            return
        if url in self._failing:
            self._failing.remove(url)
            _log.info("a relay is notified of new events again", relay=url)


class Announcement:
    """A request to crawl `host` that every server of `urls` gets, until it has accepted it.

    If `host` is localhost, only servers on this machine are asked.
    """

    def __init__(
        self,
        urls: Iterable[str],
        *,
        host: str,
        http: SafeHttp,
        delays_s: Sequence[float] = ANNOUNCEMENT_DELAYS_S,
    ) -> None:
        """`delays_s` are waited between attempts; the last one repeats."""
        self._urls = dict.fromkeys(url for url in urls if not _is_in_vain(url, host=host))
        self._host = host
        self._http = http
        self._delays_s = delays_s
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Send the requests from now on. Returns immediately."""
        loop = asyncio.get_running_loop()
        self._tasks += [loop.create_task(self._ask(url)) for url in self._urls]

    async def close(self) -> None:
        """Send no more requests. May be repeated."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def _ask(self, url: str) -> None:
        last_s = self._delays_s[-1]
        for delay_s in chain(self._delays_s, repeat(last_s)):
            try:
                await request_crawl(self._http, url, host=self._host)
            except CrawlNotRequested as exc:
                _log.warning(
                    "a crawl was not requested", service=url, reason=str(exc), retry_in_s=delay_s
                )
                await asyncio.sleep(delay_s)
            else:
                _log.info("a crawl was requested", service=url, host=self._host)
                return


def _is_in_vain(crawler: str, *, host: str) -> bool:
    return _is_local(f"//{host}") and not _is_local(crawler)


def _is_local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _reason(response: FetchedResponse) -> str:
    """Return why a relay refused: its own message if the response is an XRPC error."""
    try:
        body = orjson.loads(response.body)
        reason = f"{body['error']}: {body['message']}"
    except (orjson.JSONDecodeError, KeyError, TypeError):
        reason = f"status {response.status}"
    return reason[:300]
