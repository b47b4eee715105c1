"""One replay store behind another: Redis, then a file, then memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import structlog

from pds.oauth.replay.errors import ReplayStoreFailed
from pds.oauth.replay.store import ReplayStore

RETRY_S: Final = 1.0
"""How long to wait before trying a failed store again."""
CONSULTED_S: Final = 27 * 60 * 60
"""For how long after a failure the second store is asked, too: it knows what came meanwhile."""

_log = structlog.get_logger(__name__)


class FallbackReplays:
    """A `ReplayStore` that uses `second` while `first` fails.

    Meanwhile, a value that only `first` knows counts as new. Refusing every request instead would
    stop the server for all clients while a disk is full or Redis is down.
    """

    def __init__(
        self,
        first: ReplayStore,
        second: ReplayStore,
        *,
        name: str,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`name` says in the log which store fails."""
        self._first = first
        self._second = second
        self._name = name
        self._now_s = now_s
        self._is_down = False
        self._retry_at_s = 0.0
        self._consulted_until_s = 0.0

    async def unique(self, namespace: str, value: str, ttl_s: float) -> bool:
        """See `ReplayStore.unique`."""
        by_first = await self._ask_first(namespace, value, ttl_s)
        if by_first is not None and self._now_s() >= self._consulted_until_s:
            return by_first
        by_second = await self._second.unique(namespace, value, ttl_s)
        return by_second and by_first is not False

    async def close(self) -> None:
        """See `ReplayStore.close`."""
        await self._first.close()
        await self._second.close()

    async def _ask_first(self, namespace: str, value: str, ttl_s: float) -> bool | None:
        """Return the first store's answer; None while it fails."""
        if self._is_down:
            if self._now_s() < self._retry_at_s:
                return None
            self._retry_at_s = self._now_s() + RETRY_S  # Requests in the meantime do not wait.
        try:
            is_new = await self._first.unique(namespace, value, ttl_s)
        except ReplayStoreFailed as exc:
            self._note_failure(exc)
            return None
        if self._is_down:
            self._is_down = False
            _log.info("used proofs are remembered again", where=self._name)
        return is_new

    def _note_failure(self, exc: ReplayStoreFailed) -> None:
        self._consulted_until_s = self._now_s() + CONSULTED_S
        if self._is_down:
            return
        self._is_down = True
        self._retry_at_s = self._now_s() + RETRY_S
        _log.error("used proofs are not remembered", where=self._name, reason=str(exc))
