"""Limiting log lines that strangers can cause at any rate."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable


class SparseLines:
    """Admits at most `lines` lines per `stretch_s` seconds, and counts those it drops."""

    def __init__(
        self,
        lines: int,
        stretch_s: float,
        *,
        each: int | None = None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Allow each client at most `each` lines per stretch, by default all of them."""
        self._lines = lines
        self._each = lines if each is None else each
        self._stretch_s = stretch_s
        self._now_s = now_s
        self._ends_s = float("-inf")
        self._left = 0
        self._caused: Counter[str] = Counter()
        """Lines by client; each has caused at least one, so there are at most `lines` entries."""
        self._unlogged = 0

    def admit(self, client: str = "") -> int | None:
        """Return how many lines were dropped since the last one; None to drop this one, too."""
        now_s = self._now_s()
        if now_s >= self._ends_s:
            self._ends_s = now_s + self._stretch_s
            self._left = self._lines
            self._caused.clear()
        if not self._left or self._caused[client] >= self._each:
            self._unlogged += 1
            return None
        self._left -= 1
        self._caused[client] += 1
        unlogged, self._unlogged = self._unlogged, 0
        return unlogged
