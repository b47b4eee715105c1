"""The limits that methods declare, and the global one. The numbers are the reference PDS's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from pds.rate_limits.limit import DAY_S, HOUR_S, MINUTE_S, Key, Limit, by_did, by_ip

Cost: TypeAlias = Callable[[Mapping[str, Any]], int]
"""Returns how many points a call costs, from its body."""

ALL_REQUESTS: Final = Limit("global", 3000, 5 * MINUTE_S, by_ip)
"""Counts every request of a client, even to unknown methods."""


@dataclass(slots=True, frozen=True)
class MethodLimits:
    """The limits of one method, and how many points of each a call costs."""

    limits: tuple[Limit, ...]
    cost: Cost
    counts_among_all: bool = True
    """Whether a request also counts towards the global limit of its client.

    If not, the method's own limits are by address, and count every request instead.
    """

    def named_after(self, nsid: str) -> MethodLimits:
        """Return the limits, naming those without a name, which only one method has, after it."""
        named = (
            limit if limit.name else replace(limit, name=f"{nsid}-{limit.window_s}")
            for limit in self.limits
        )
        return replace(self, limits=tuple(named))


def calls(key: Key, windows: Mapping[int, int], *, counts_among_all: bool = True) -> MethodLimits:
    """Limit calls of a method by `key`; `windows` maps seconds to the number of calls."""
    limits = (Limit("", number, window_s, key) for window_s, number in windows.items())
    return MethodLimits(tuple(limits), lambda _: 1, counts_among_all)


_WRITES: Final = (
    Limit("repo-write-hour", 5000, HOUR_S, by_did),
    Limit("repo-write-day", 35_000, DAY_S, by_did),
)
"""Shared by the methods that write to a repository."""
_POINTS: Final = {"create": 3, "update": 2, "delete": 1}


def _points_of_all(body: Mapping[str, Any]) -> int:
    return sum(_POINTS[write["$type"].partition("#")[2]] for write in body["writes"])


FACTOR_CHANGES: Final = "second-factors"
"""Changes of second factors, each of which sends a mail to an address that may be a stranger's."""
FOREIGN_SIGN_INS: Final = "sign-ins-elsewhere"
"""Passwords that this server tries at others, which must not see it guess those of their people."""
OF_PAGES: Final[Mapping[str, MethodLimits]] = {
    FACTOR_CHANGES: calls(by_did, {HOUR_S: 20, DAY_S: 60}).named_after(FACTOR_CHANGES),
    FOREIGN_SIGN_INS: calls(by_ip, {5 * MINUTE_S: 30, DAY_S: 300}).named_after(FOREIGN_SIGN_INS),
}
"""The limits of what people do on pages, where no method does the same."""

CREATE: Final = MethodLimits(_WRITES, lambda _: _POINTS["create"])
UPDATE: Final = MethodLimits(_WRITES, lambda _: _POINTS["update"])
DELETE: Final = MethodLimits(_WRITES, lambda _: _POINTS["delete"])
SEVERAL_WRITES: Final = MethodLimits(_WRITES, _points_of_all)
