"""Limiting wrong admin passwords, even if rate limits are disabled."""

from __future__ import annotations

from typing import Final

import structlog
from aiohttp import web

from pds.monitoring.requests.client_address import ClientAddresses
from pds.rate_limits.errors import TooManyRequests
from pds.rate_limits.limit import MINUTE_S, Limit, by_ip
from pds.rate_limits.memory import MemoryStore
from pds.rate_limits.shared import SharedStore
from pds.rate_limits.store import Count, Hit

WRONG: Final = Limit("admin-password", 100, 5 * MINUTE_S, by_ip)
"""More than anyone mistypes, and too few to guess a decent password."""

_log = structlog.get_logger(__name__)


class AdminGuesses:
    """Counts the wrong passwords of each client.

    After too many, a client is refused for the rest of the window even with the right password:
    otherwise the responses would still reveal it. This does not apply on the machine itself, where
    the operator must always have access.
    """

    def __init__(self, addresses: ClientAddresses, store: MemoryStore | SharedStore) -> None:
        """Count in `store`, which never fails as one on another machine may."""
        self._addresses = addresses
        self._store = store

    async def note_wrong(self, request: web.Request) -> None:
        """Count a wrong password. Raises `TooManyRequests`."""
        count = await self._add(request, 1)
        if count.remaining == 0:
            _log.warning(
                "too many wrong admin passwords",
                client=self._addresses.of(request).text,
                refused_for_s=count.resets_in_ms // 1000,
            )
        if count.remaining < 0:
            raise _refusal(count)

    async def check_right(self, request: web.Request) -> None:
        """Refuse the right password after too many wrong ones. Raises `TooManyRequests`."""
        if self._addresses.is_of_this_machine(request):
            return
        count = await self._add(request, 0)
        if count.remaining <= 0:
            raise _refusal(count)

    async def _add(self, request: web.Request, points: int) -> Count:
        group = self._addresses.of(request).group
        (count,) = await self._store.add([Hit(WRONG, group, points)])
        return count


def _refusal(count: Count) -> TooManyRequests:
    return TooManyRequests(-(-count.resets_in_ms // 1000))
