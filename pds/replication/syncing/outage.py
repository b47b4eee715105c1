"""Telling an outage from the troubles of single actors.

Where the replica or the daemon is away, every sync fails. Instead of failing thousands of times,
one actor at a time is then tried, at growing intervals, until one gets through.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

_IN_A_ROW: Final = 8
"""So many failures without a success between them, of different actors, are an outage."""
_FIRST_S: Final = 0.5


class Outage:
    """Whether there is one, and when to try again."""

    def __init__(
        self, *, longest_s: float = 30.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin without one. `longest_s` is the longest pause between two tries."""
        self._longest_s = longest_s
        self._clock = clock
        self._failed: set[str] = set()
        self._pause_s = _FIRST_S
        self._next_s = 0.0
        self.reason: str | None = None
        """Why nothing gets through; None if something does."""

    @property
    def is_on(self) -> bool:
        """Whether nothing gets through."""
        return self.reason is not None

    @property
    def may_try(self) -> bool:
        """Whether it is time for the next try, in an outage."""
        return self._clock() >= self._next_s

    def rest_s(self, most_s: float) -> float:
        """Return how long to wait until the next try, `most_s` at most.

        Once it is time for one, the end of another sync or a change is waited for.
        """
        left_s = self._next_s - self._clock()
        return min(left_s, most_s) if left_s > 0 else most_s

    def succeed(self) -> bool:
        """Note that a sync got through; return whether that ends an outage."""
        was_on = self.is_on
        self._failed.clear()
        self.reason = None
        self._pause_s = _FIRST_S
        return was_on

    def fail(self, did: str, reason: str, *, is_general: bool) -> bool:
        """Note that a sync failed; return whether that begins an outage.

        `is_general` says that the failure is known not to be the actor's.
        """
        if self.is_on:
            # Tries that had begun before the outage are no further sign.
            if self.may_try:
                self._pause_s = min(self._pause_s * 2, self._longest_s)
                self._next_s = self._clock() + self._pause_s
            self.reason = reason
            return False
        self._failed.add(did)
        if not is_general and len(self._failed) < _IN_A_ROW:
            return False
        self._failed.clear()
        self.reason = reason
        self._next_s = self._clock() + self._pause_s
        return True
