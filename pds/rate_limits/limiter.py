"""Counting requests, and refusing those above a limit."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Final

from aiohttp import web

from pds.config.addresses import IpNetwork
from pds.monitoring.requests.client_address import ClientAddress, ClientAddresses, IpAddress
from pds.monitoring.requests.request_info import promise_headers
from pds.rate_limits.errors import TooManyRequests
from pds.rate_limits.headers import headers_of
from pds.rate_limits.limit import Limit, LimitedCall
from pds.rate_limits.method_limits import ALL_REQUESTS, MethodLimits
from pds.rate_limits.store import Count, CounterStore, Hit

BYPASS_HEADER: Final = "x-ratelimit-bypass"

_KNOWN_ADDRESSES: Final = 4096
_TIGHTEST: Final = web.RequestKey("tightest_count", Count)
"""The strictest of the counts of a request so far."""


class RateLimiter:
    """The limits of a server: `all_requests` for each client, and those of `methods` by NSID.

    Requests with `bypass_key` in the bypass header, or from one of `bypass_networks`, are neither
    counted nor refused. `now_s` is the wall clock, in seconds since the Unix epoch.
    """

    def __init__(
        self,
        store: CounterStore,
        addresses: ClientAddresses,
        methods: Mapping[str, MethodLimits],
        *,
        all_requests: Limit = ALL_REQUESTS,
        bypass_key: str | None = None,
        bypass_networks: Iterable[IpNetwork] = (),
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._addresses = addresses
        self._methods = methods
        self._all_requests = all_requests
        self._bypass_key = _bytes_of(bypass_key) if bypass_key else None
        self._bypass_networks = tuple(bypass_networks)
        self._is_exempt = lru_cache(_KNOWN_ADDRESSES)(self._find_exemption)
        self._now_s = now_s

    async def count_request(self, request: web.Request, nsid: str) -> None:
        """Count a request before anything else is known about it. Raises `TooManyRequests`.

        `nsid` is the method that it names, which may not exist.
        """
        address = self._addresses.of(request)
        if self._may_bypass(request, address):
            return
        method = self._methods.get(nsid)
        if method is None or method.counts_among_all:
            hits = [Hit(self._all_requests, address.group, 1)]
        else:
            hits = [Hit(limit, address.group, 1) for limit in method.limits]
        await self._count(request, hits)

    async def count_call(self, request: web.Request, nsid: str, call: LimitedCall) -> None:
        """Count a call about to be handled, if its method has its own limits.

        Raises `TooManyRequests`.
        """
        method = self._methods.get(nsid)
        if method is None or not method.counts_among_all:
            return
        address = self._addresses.of(request)
        points = method.cost(call.body)
        if points and not self._may_bypass(request, address):
            hits = [Hit(limit, limit.key(address.group, call), points) for limit in method.limits]
            await self._count(request, hits)

    async def close(self) -> None:
        """Close the store."""
        await self._store.close()

    async def _count(self, request: web.Request, hits: list[Hit]) -> None:
        counts = await self._store.add(hits)
        if not counts:
            return
        earlier = request.get(_TIGHTEST)
        tightest = min(counts if earlier is None else (earlier, *counts), key=_strictness)
        request[_TIGHTEST] = tightest
        promise_headers(request, headers_of(tightest, now_s=self._now_s()))
        if tightest.remaining < 0:
            raise TooManyRequests

    def _may_bypass(self, request: web.Request, address: ClientAddress) -> bool:
        if self._bypass_networks and self._is_exempt(address.ip):
            return True
        if self._bypass_key is None:
            return False
        given = request.headers.get(BYPASS_HEADER, "")
        return hmac.compare_digest(_bytes_of(given), self._bypass_key)

    def _find_exemption(self, ip: IpAddress | None) -> bool:
        return ip is not None and any(ip in network for network in self._bypass_networks)


def _strictness(count: Count) -> tuple[int, int]:
    """Return a sort key: the smallest count is the one that the response reports.

    Among exceeded limits, that is the last to reset, because earlier retries would fail.
    """
    if count.remaining < 0:
        return (-1, -count.resets_in_ms)
    return (count.remaining, 0)


def _bytes_of(text: str) -> bytes:
    # Python escapes invalid UTF-8 in headers and environment variables this way.
    return text.encode("utf-8", "surrogateescape")
