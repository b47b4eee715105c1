"""The hot set: the actors whose databases Litestream has open, the ones used last at the end."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

TRIAL_S: Final = 1.0
"""How long an actor is open after its first change, waiting for a second one."""
APART_MS: Final = 1_000
"""The time between two syncs of an actor that is open: Litestream's own interval."""


@dataclass(slots=True)
class HotActor:
    """An open database."""

    inode: int
    """Of the file that is open."""
    used_s: float
    """When it was last synced, by the clock of the set."""
    synced_ms: int = 0
    """When its last sync ended, in Unix milliseconds."""
    syncs: int = 0
    """How often it was synced since it was opened."""
    in_use: bool = False


class HotSet:
    """Which databases are open: an LRU with a bound. What opens and closes them is elsewhere."""

    def __init__(self, size: int, *, clock: Callable[[], float]) -> None:
        """Make an empty set of at most `size` actors that are not in use."""
        self.size = size
        self._clock = clock
        self._actors: OrderedDict[str, HotActor] = OrderedDict()

    def __len__(self) -> int:
        return len(self._actors)

    def __contains__(self, did: str) -> bool:
        return did in self._actors

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._actors))

    def get(self, did: str) -> HotActor | None:
        """Return an open actor."""
        return self._actors.get(did)

    def inode_of(self, did: str) -> int | None:
        """Return the inode of the database that is open for an actor. For any thread."""
        actor = self._actors.get(did)
        return None if actor is None else actor.inode

    def earliest_ms(self, did: str) -> int:
        """Return from when on an actor may be synced, in Unix milliseconds."""
        actor = self._actors.get(did)
        if actor is None:
            return 0
        # A clock that was set back must not hold up anybody.
        return min(actor.synced_ms, int(time.time() * 1000)) + APART_MS

    def add(self, did: str, inode: int) -> HotActor:
        """Note that a database was opened."""
        actor = self._actors[did] = HotActor(inode, self._clock())
        return actor

    def remove(self, did: str) -> None:
        """Note that a database was closed. May be repeated."""
        self._actors.pop(did, None)

    def clear(self) -> tuple[str, ...]:
        """Note that all were closed at once, and return which were open."""
        dids = tuple(self._actors)
        self._actors.clear()
        return dids

    @contextmanager
    def using(self, did: str) -> Iterator[HotActor | None]:
        """Keep an open actor from being chosen as the coldest within a block."""
        actor = self._actors.get(did)
        if actor is not None:
            actor.in_use = True
        try:
            yield actor
        finally:
            if actor is not None:
                actor.in_use = False
                self.touch(did)

    def touch(self, did: str) -> None:
        """Make an open actor the hottest one."""
        actor = self._actors.get(did)
        if actor is not None:
            actor.used_s = self._clock()
            self._actors.move_to_end(did)

    @property
    def is_full(self) -> bool:
        """Whether the coldest has to go before another one is added."""
        return len(self._actors) >= self.size

    def coldest(self) -> str | None:
        """Return the actor that was used longest ago, of those not in use."""
        return next((did for did, actor in self._actors.items() if not actor.in_use), None)

    def idle(self, seconds: float, *, limit: int) -> list[str]:
        """Return actors that were not used for so long, the coldest first.

        One that was synced once only since it was opened is idle sooner: an open database costs as
        much in some seconds as opening it again, and most changes come alone.
        """
        now_s = self._clock()
        found: list[str] = []
        for did, actor in self._actors.items():
            bound_s = seconds if actor.syncs > 1 else min(seconds, TRIAL_S)
            if not actor.in_use and now_s - actor.used_s >= bound_s:
                found.append(did)
                if len(found) == limit:
                    break
        return found
