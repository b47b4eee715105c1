"""Counters in the memory of this process."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from pds.rate_limits.store import Count, Hit

MAX_KEYS: Final = 50_000
"""Counters kept for each limit; at most 15 MB."""
_SWEEP_FROM: Final = 1024
_KEPT_EIGHTHS: Final = 7
"""The share of a full table that is kept, so that evictions are rare."""


@dataclass(slots=True)
class _Window:
    used: int
    ends_ms: int


class _Counters:
    """The counters of one limit, at most `max_keys`.

    When the table is full, the smallest counters are evicted, and new ones start at the largest of
    those. Otherwise, a client could reset its own count by using enough other keys. So after such
    an attack, a count may be too high, but never too low.
    """

    __slots__ = ("_floor", "_floor_until_ms", "_max_keys", "_sweep_at", "_windows")

    def __init__(self, max_keys: int) -> None:
        self._max_keys = max_keys
        self._sweep_at = min(_SWEEP_FROM, max_keys)
        self._windows: dict[str, _Window] = {}
        self._floor = 0
        self._floor_until_ms = 0

    def add(self, key: str, points: int, now_ms: int, *, window_ms: int) -> tuple[int, int]:
        window = self._windows.get(key)
        if window is None or window.ends_ms <= now_ms:
            window = self._open(key, now_ms, window_ms=window_ms)
        window.used += points
        return window.used, window.ends_ms - now_ms

    def __len__(self) -> int:
        return len(self._windows)

    def _open(self, key: str, now_ms: int, *, window_ms: int) -> _Window:
        if self._floor_until_ms <= now_ms:
            self._floor = 0
        if len(self._windows) >= self._sweep_at:
            self._sweep(now_ms, window_ms=window_ms)
        window = self._windows[key] = _Window(self._floor, now_ms + window_ms)
        return window

    def _sweep(self, now_ms: int, *, window_ms: int) -> None:
        """Evict expired counters, and the smallest of the rest if the table is still full."""
        live = {key: window for key, window in self._windows.items() if window.ends_ms > now_ms}
        excess = len(live) - self._max_keys * _KEPT_EIGHTHS // 8
        if excess > 0:
            largest = sorted(window.used for window in live.values())[excess - 1]
            live = {key: window for key, window in live.items() if window.used > largest}
            self._floor = max(self._floor, largest)
            # None of the evicted windows would have lasted longer.
            self._floor_until_ms = now_ms + window_ms
        self._windows = live
        # At twice as many, so that the cost of a sweep is amortized over the added counters.
        self._sweep_at = min(max(_SWEEP_FROM, 2 * len(live)), self._max_keys)


class MemoryStore:
    """A `CounterStore` for one process. `now_ms` is a monotonic clock."""

    def __init__(
        self,
        *,
        max_keys: int = MAX_KEYS,
        now_ms: Callable[[], int] = lambda: time.monotonic_ns() // 1_000_000,
    ) -> None:
        self._now_ms = now_ms
        self._counters: defaultdict[str, _Counters] = defaultdict(partial(_Counters, max_keys))

    def __len__(self) -> int:
        """Return the number of counters."""
        return sum(map(len, self._counters.values()))

    async def add(self, hits: Sequence[Hit]) -> list[Count]:
        """See `CounterStore.add`; never None."""
        return [
            Count(limit, *self.count(limit.name, limit.window_s, key, points))
            for limit, key, points in hits
        ]

    def count(self, name: str, window_s: int, key: str, points: int) -> tuple[int, int]:
        """Count a hit of the limit `name`. Return the points used, and when it resets, in ms."""
        counters = self._counters[name]
        return counters.add(key, points, self._now_ms(), window_ms=window_s * 1000)

    async def close(self) -> None:
        """See `CounterStore.close`."""
