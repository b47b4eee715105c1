"""Where points are counted: the interface of the stores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from pds.rate_limits.limit import Limit


class Hit(NamedTuple):
    """What a request adds to one counter."""

    limit: Limit
    key: str
    points: int


class Count(NamedTuple):
    """A counter after a hit."""

    limit: Limit
    used: int
    """All points of the window so far, those of the hit among them."""
    resets_in_ms: int

    @property
    def remaining(self) -> int:
        """How many points are left; below 0 if the hit was one too many."""
        return self.limit.points - self.used


class CounterStore(Protocol):
    """Counters that begin at 0 again at the end of their limit's window."""

    async def add(self, hits: Sequence[Hit]) -> list[Count] | None:
        """Count all hits, in their order. None if that cannot be done: then no limit holds."""
        ...

    async def close(self) -> None:
        """Let go of what the counters are in."""
        ...
