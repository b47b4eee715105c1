"""How long changes take to reach the replica: percentiles of the last minute."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final

from pds.replication.status import LagStatus

_WINDOW_S: Final = 60.0
_MOST: Final = 20_000
"""Changes that are remembered; of more than 300 a second, those of less than a minute."""


class Lag:
    """Remembers how long changes took."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Remember nothing yet."""
        self._clock = clock
        self._seen: deque[tuple[float, float]] = deque(maxlen=_MOST)

    def add(self, seconds: float) -> None:
        """Note that a change has reached the replica, and after how long."""
        self._seen.append((self._clock(), seconds))

    def status(self) -> LagStatus:
        """Return the figures of the last minute."""
        before = self._clock() - _WINDOW_S
        while self._seen and self._seen[0][0] < before:
            self._seen.popleft()
        if not self._seen:
            return LagStatus()
        lags = sorted(seconds for _, seconds in self._seen)
        return LagStatus(
            changes=len(lags),
            p50_s=round(lags[len(lags) // 2], 3),
            p99_s=round(lags[len(lags) * 99 // 100], 3),
            max_s=round(lags[-1], 3),
        )
