"""The interface of counter stores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from pds.rate_limits.limit import Limit


class Hit(NamedTuple):
    """The points that a request adds to one counter."""

    limit: Limit
    key: str
    points: int


class Count(NamedTuple):
    """A counter after a hit."""

    limit: Limit
    used: int
    """All points of the window so far, including the hit."""
    resets_in_ms: int

    @property
    def remaining(self) -> int:
        """The number of points left; negative if the hit exceeded the limit."""
        return self.limit.points - self.used


class CounterStore(Protocol):
    """Counters that reset to 0 at the end of their limit's window."""

    async def add(self, hits: Sequence[Hit]) -> list[Count] | None:
        """Count all hits in order. Return None if that is impossible, so that no limit applies."""
        ...

    async def close(self) -> None:
        """Release the underlying resources."""
        ...
