"""How requests end and how long they take, counted."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the classes that durations are counted in; one more has no bound."""

OTHER: Final = "other"
"""All methods that nobody here has heard of."""
WEB: Final = "web"
"""Everything outside of XRPC."""
HEALTH: Final = "_health"
PREFLIGHT: Final = "preflight"


class MethodStatistics:
    """Requests of one method since the start."""

    __slots__ = ("answers", "durations", "name", "seconds")

    def __init__(self, name: str) -> None:
        self.name = name
        self.answers: defaultdict[int, int] = defaultdict(int)
        """How many were answered with a status."""
        self.durations = [0] * (len(BOUNDS_S) + 1)
        """How many took so long, by class."""
        self.seconds = 0.0
        """How long all of those took together."""

    def note(self, status: int, seconds: float) -> None:
        """Count a request."""
        self.answers[status] += 1
        self.durations[bisect_left(BOUNDS_S, seconds)] += 1
        self.seconds += seconds


class RequestStatistics:
    """Requests by method. There are few names, whatever strangers ask for."""

    def __init__(self) -> None:
        self.methods = {name: MethodStatistics(name) for name in (OTHER, WEB, HEALTH, PREFLIGHT)}
        self._other = self.methods[OTHER]
        # Without the names above, which anybody may write where an NSID belongs.
        self._by_nsid: dict[str, MethodStatistics] = {}

    def count_by_name(self, nsids: Iterable[str]) -> None:
        """Count these methods each for itself."""
        for nsid in nsids:
            self._by_nsid[nsid] = self.methods.setdefault(nsid, MethodStatistics(nsid))

    def of_nsid(self, nsid: str) -> MethodStatistics:
        """Those of a method, or of all that are not counted by name."""
        return self._by_nsid.get(nsid) or self._by_nsid.get(nsid.rstrip("/"), self._other)
