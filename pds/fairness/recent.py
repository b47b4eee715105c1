"""Who has had how many turns lately."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Final

MAX_HOLDERS: Final = 20_000
"""Remembered at a time, twice: names come from strangers."""


class Recent:
    """Counts turns by holder, and forgets them after `memory_s` to twice that, in seconds."""

    def __init__(self, memory_s: float, *, now_s: Callable[[], float] = time.monotonic) -> None:
        """`now_s` is a clock that never goes back. With a `memory_s` of 0 nothing is counted."""
        self._memory_s = memory_s
        self._now_s = now_s
        self._ends_s = 0.0
        self._new: Counter[str] = Counter()
        self._old: Counter[str] = Counter()

    def add(self, holders: tuple[str, ...]) -> None:
        """Count a turn for each of `holders`."""
        if not self._memory_s:
            return
        now_s = self._now_s()
        if now_s >= self._ends_s or len(self._new) >= MAX_HOLDERS:
            self._old = self._new if now_s < self._ends_s + self._memory_s else Counter()
            self._new = Counter()
            self._ends_s = now_s + self._memory_s
        self._new.update(holders)

    def of(self, holder: str) -> int:
        """How many turns a holder has had."""
        return self._new[holder] + self._old[holder]
