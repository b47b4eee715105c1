"""Shares of a common resource by crowd, so that the crowd with the most can give way."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

Member = TypeVar("Member")


class Crowds(Generic[Member]):
    """Members by crowd. The largest crowd is found in O(log n)."""

    def __init__(self, members: Iterable[tuple[str, Member]]) -> None:
        """`members` are pairs of a crowd's name and a member."""
        self._crowds = defaultdict[str, dict[Member, None]](dict)
        self._crowd_of: dict[Member, str] = {}
        for name, member in members:
            self._crowds[name][member] = None
            self._crowd_of[member] = name
        # Holds a crowd once for each size it has had; only the current one counts.
        self._by_size = [(-len(crowd), name) for name, crowd in self._crowds.items()]
        heapify(self._by_size)

    def join(self, name: str, member: Member) -> None:
        """Add a new `member` to the crowd `name`."""
        self._crowds[name][member] = None
        self._crowd_of[member] = name
        self._note_size(name)

    def leave(self, member: Member) -> None:
        """Remove a member from its crowd; unknown ones are ignored."""
        name = self._crowd_of.pop(member, None)
        if name is not None:
            del self._crowds[name][member]
            self._note_size(name)

    def give_way_to(self, name: str) -> tuple[str, Member] | None:
        """Remove the newest member of the largest crowd, to make room for one more of crowd `name`.

        Return it with its crowd's name; None if that crowd would then be the smaller one.
        """
        largest = self._largest()
        if largest is None or len(self._crowds[name]) + 1 >= len(self._crowds[largest]):
            return None
        chosen = next(reversed(self._crowds[largest]))
        self.leave(chosen)
        return largest, chosen

    def _largest(self) -> str | None:
        while self._by_size:
            size, name = self._by_size[0]
            if len(self._crowds[name]) == -size:
                return name
            heappop(self._by_size)
        return None

    def _note_size(self, name: str) -> None:
        heappush(self._by_size, (-len(self._crowds[name]), name))
