"""Recent turns by holder: how many, and when the last was."""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Final

MAX_HOLDERS: Final = 20_000
"""Bound on remembered holders, because names come from strangers; `Recent` has twice as many."""


class Recent:
    """Counts turns by holder, and forgets them after `memory_s` to twice `memory_s` seconds."""

    def __init__(self, memory_s: float, *, now_s: Callable[[], float] = time.monotonic) -> None:
        """`now_s` is a monotonic clock. With a `memory_s` of 0, nothing is counted."""
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
        """Return how many turns a holder has had."""
        return self._new[holder] + self._old[holder]


class Latest:
    """Finds the holder that has gone longest without a turn."""

    def __init__(self) -> None:
        self._turns = 0
        # The number of each holder's last turn, in ascending order.
        self._last: OrderedDict[str, int] = OrderedDict()

    def add(self, holders: tuple[str, ...]) -> None:
        """Record a turn for each of `holders`."""
        self._turns += 1
        for holder in holders:
            self._last[holder] = self._turns
            self._last.move_to_end(holder)
        while len(self._last) > MAX_HOLDERS:
            self._last.popitem(last=False)

    def of(self, holders: tuple[str, ...]) -> list[int]:
        """Return when `holders` had their last turns, latest first, for comparison with others.

        The latest is compared first, because requesters can choose ever new names for the others.
        """
        return sorted((self._last.get(holder, 0) for holder in holders), reverse=True)
