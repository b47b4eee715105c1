"""Counts of pulls and pushes in memory: what was counted since the journal was last written.

Counting takes microseconds and no more memory than a fixed number of pairs. Strangers name the
pairs that they pull, so how many new ones pulls alone may add is limited for each hour; an owner's
push makes a pair known, and known pairs always count.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from database.timestamps import Clock, iso_of
from pds.hold.stats.journal import Pair
from pds.hold.stats_record import Totals

MAX_PAIRS: Final = 4_000
"""Pairs in memory; further ones are not counted until the journal is written."""
NEW_PAIRS_EACH_HOUR: Final = 1_000
_HOUR_S: Final = 3600
_MAX_DID: Final = 512
_REPOSITORY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,255}", re.ASCII)
"""The names of the OCI distribution specification, a little wider: upper case, any separators."""


def is_repository(name: str) -> bool:
    """Whether this may be the name of a repository of images."""
    return _REPOSITORY.fullmatch(name) is not None


@dataclass(slots=True)
class _Count:
    pulls: int = 0
    pushes: int = 0
    last_pull_s: float = 0.0
    last_push_s: float = 0.0

    def totals(self) -> Totals:
        return Totals(
            self.pulls,
            self.pushes,
            iso_of(self.last_pull_s) if self.pulls else None,
            iso_of(self.last_push_s) if self.pushes else None,
        )


class Counts:
    """Pulls and pushes by pair, until `take` hands them over."""

    def __init__(self, clock: Clock = time.time) -> None:
        """Use `clock`, which returns Unix seconds."""
        self._clock = clock
        self._counts: dict[Pair, _Count] = {}

    def __len__(self) -> int:
        return len(self._counts)

    def pull(self, did: str, repository: str) -> bool:
        """Count a pull; return whether there was room and the names are valid."""
        count = self._find(did, repository)
        if count is None:
            return False
        count.pulls += 1
        # The clock may have been set back since the last one.
        count.last_pull_s = max(count.last_pull_s, self._clock())
        return True

    def push(self, did: str, repository: str) -> bool:
        """Count a push; return whether there was room and the names are valid."""
        count = self._find(did, repository)
        if count is None:
            return False
        count.pushes += 1
        count.last_push_s = max(count.last_push_s, self._clock())
        return True

    def of(self, pair: Pair) -> Totals:
        """Return what is counted here for a pair."""
        count = self._counts.get(pair)
        return Totals() if count is None else count.totals()

    def repositories(self, did: str) -> set[str]:
        """Return the repositories of an owner for which something is counted here."""
        return {pair.repository for pair in self._counts if pair.did == did}

    def peek(self, limit: int) -> list[tuple[Pair, Totals]]:
        """Return the counts of the first pairs, in the order in which they came."""
        return [
            (pair, count.totals())
            for (pair, count), _ in zip(self._counts.items(), range(limit), strict=False)
        ]

    def remove(self, pairs: Iterable[Pair]) -> None:
        """Remove pairs whose counts are in the journal, or may not be there.

        Call it in the step of the event loop in which `peek` has returned their counts.
        """
        for pair in pairs:
            del self._counts[pair]

    def forget_owner(self, did: str) -> None:
        """Drop the counts of an owner."""
        for repository in self.repositories(did):
            del self._counts[Pair(did, repository)]

    def _find(self, did: str, repository: str) -> _Count | None:
        pair = Pair(did, repository)
        count = self._counts.get(pair)
        if count is None:
            has_room = len(self._counts) < MAX_PAIRS
            if not has_room or len(did) > _MAX_DID or not is_repository(repository):
                return None
            count = self._counts[pair] = _Count()
        return count


class NewPairs:
    """How many pairs that nobody has pushed may still be added: so many an hour."""

    def __init__(
        self,
        each_hour: int = NEW_PAIRS_EACH_HOUR,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._each_hour = each_hour
        self._monotonic = monotonic
        self._left = float(each_hour)
        self._at_s = monotonic()

    def left(self) -> int:
        """Return how many may be added now."""
        now = self._monotonic()
        gained = (now - self._at_s) * self._each_hour / _HOUR_S
        self._left, self._at_s = min(self._left + gained, float(self._each_hour)), now
        return int(self._left)

    def use(self, count: int) -> None:
        """Note that so many of those that were left have been added."""
        self._left -= count
