"""Counts requests, and refuses those that are too many."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final

from aiohttp import web

from pds.config.addresses import IpNetwork
from pds.monitoring.requests.client_address import ClientAddress, ClientAddresses, IpAddress
from pds.rate_limits.headers import HEADERS, headers_of
from pds.rate_limits.store import Count, CounterStore, Hit
from pds.rate_limits.table import LIMITS, LimitTable
from pds.xrpc.call import XrpcCall
from pds.xrpc.errors import XrpcError

BYPASS_HEADER: Final = "x-ratelimit-bypass"

_KNOWN_ADDRESSES: Final = 4096
_TIGHTEST: Final = web.RequestKey("tightest_count", Count)
"""Of those that a request has been counted by so far."""


class RateLimiter:
    """The limits of a server.

    Requests with `bypass_key` in their header, or from one of `bypass_networks`, are neither
    counted nor refused. `now_s` is the wall clock, in seconds since the Unix epoch.
    """

    def __init__(
        self,
        store: CounterStore,
        addresses: ClientAddresses,
        *,
        table: LimitTable = LIMITS,
        bypass_key: str | None = None,
        bypass_networks: Iterable[IpNetwork] = (),
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._addresses = addresses
        self._table = table
        self._bypass_key = _bytes_of(bypass_key) if bypass_key else None
        self._bypass_networks = tuple(bypass_networks)
        self._is_exempt = lru_cache(_KNOWN_ADDRESSES)(self._find_exemption)
        self._now_s = now_s

    async def count_request(self, request: web.Request, nsid: str) -> None:
        """Count a request before anything else is known of it. Raises `XrpcError` 429.

        `nsid` is the method that it names, whether there is such a one or not.
        """
        address = self._addresses.of(request)
        if self._may_bypass(request, address):
            return
        method = self._table.methods.get(nsid)
        if method is None or method.counts_among_all:
            hits = [Hit(self._table.all_requests, address.group, 1)]
        else:
            hits = [Hit(limit, address.group, 1) for limit in method.limits]
        await self._count(request, hits)

    async def count_call(self, nsid: str, call: XrpcCall) -> None:
        """Count a call that is about to be handled, if its method has limits of its own.

        Raises `XrpcError` 429.
        """
        method = self._table.methods.get(nsid)
        if method is None or not method.counts_among_all:
            return
        address = self._addresses.of(call.request)
        points = method.cost(call)
        if points and not self._may_bypass(call.request, address):
            hits = [Hit(limit, limit.key(address, call), points) for limit in method.limits]
            await self._count(call.request, hits)

    async def _count(self, request: web.Request, hits: list[Hit]) -> None:
        counts = await self._store.add(hits)
        if not counts:
            return
        earlier = request.get(_TIGHTEST)
        tightest = min(counts if earlier is None else (earlier, *counts), key=_strictness)
        request[_TIGHTEST] = tightest
        request[HEADERS] = headers_of(tightest, now_s=self._now_s())
        if tightest.remaining < 0:
            raise XrpcError(429)

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
    """Orders the limits of a request: the first is the one that its answer tells of.

    Of limits that are exceeded that is the last to end: to come back earlier would be in vain.
    """
    if count.remaining < 0:
        return (-1, -count.resets_in_ms)
    return (count.remaining, 0)


def _bytes_of(text: str) -> bytes:
    # Headers and the environment come in with what is no UTF-8 escaped like this.
    return text.encode("utf-8", "surrogateescape")
