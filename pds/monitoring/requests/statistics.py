"""Counts of requests by outcome and duration."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the histogram buckets for durations; one more bucket is unbounded."""

OTHER: Final = "other"
"""All unknown methods."""
WEB: Final = "web"
"""Everything outside XRPC."""
HEALTH: Final = "_health"
PREFLIGHT: Final = "preflight"


class MethodStatistics:
    """Requests of one method since the start."""

    __slots__ = ("answers", "durations", "name", "seconds")

    def __init__(self, name: str) -> None:
        self.name = name
        self.answers: defaultdict[int, int] = defaultdict(int)
        """Responses by status."""
        self.durations = [0] * (len(BOUNDS_S) + 1)
        """Requests by duration bucket."""
        self.seconds = 0.0
        """Total duration of all requests."""

    def note(self, status: int, seconds: float) -> None:
        """Count a request."""
        self.answers[status] += 1
        self.durations[bisect_left(BOUNDS_S, seconds)] += 1
        self.seconds += seconds


class RequestStatistics:
    """Requests by method. The set of names is small, whatever clients request."""

    def __init__(self) -> None:
        self.methods = {name: MethodStatistics(name) for name in (OTHER, WEB, HEALTH, PREFLIGHT)}
        self._other = self.methods[OTHER]
        # Excludes the names above, which a client could send in place of an NSID.
        self._by_nsid: dict[str, MethodStatistics] = {}

    def count_by_name(self, nsids: Iterable[str]) -> None:
        """Count each of these methods separately."""
        for nsid in nsids:
            self._by_nsid[nsid] = self.methods.setdefault(nsid, MethodStatistics(nsid))

    def of_nsid(self, nsid: str) -> MethodStatistics:
        """Return the statistics of a method, or those of all unknown methods."""
        return self._by_nsid.get(nsid) or self._by_nsid.get(nsid.rstrip("/"), self._other)
