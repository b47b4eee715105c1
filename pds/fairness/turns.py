"""A bounded number of turns at a scarce resource, granted fairly among those who request one."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from pds.fairness.recent import Latest, Recent

RETRY_AFTER_S: Final = 2
"""The default Retry-After for a refused client."""


Ranks: TypeAlias = Callable[[tuple[str, ...]], tuple[str, ...]]


class TooBusy(Exception):
    """No turn is available soon: the queue is full, or this request has waited too long."""

    def __init__(self, what: str, *, retry_after_s: int = RETRY_AFTER_S) -> None:
        self.what = what
        self.retry_after_s = retry_after_s
        super().__init__(f"The server is busy with {what}. Try again in {retry_after_s} seconds.")


@dataclass(slots=True, eq=False)
class _Waiting:
    """A place in the queue. It ends with a turn, without one, or with a cancelled future."""

    holders: tuple[str, ...]
    granted: asyncio.Future[bool] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Turns:
    """At most `at_once` turns at a time, of which any one holder holds at most `each`.

    Requests that find no free turn wait. A free turn goes to the request whose holders hold the
    fewest turns, and among these to the one whose holders have gone longest without. So a holder
    waits for one turn of each other holder, however often those ask. The queue is bounded as well:
    at most `waiting` places in total and `waiting_each` per holder, for at most `wait_s` seconds.
    If it is full, the request whose holders have the most places gives way. A request that stops
    waiting because its client left has no further effect.

    With `memory_s`, turns of the last so many seconds count, too: if holders hold equally many, the
    one that has had the fewest goes first and gives way last; the first of `holders` counts before
    the others. Among equals, the request that has waited longest gives way, not the newest. This is
    for turns that strangers request so often that the queue is always full: by what they hold at a
    time they can hardly be told from one-time clients, and those must find a place. With `ranks`,
    turns are counted for the keys that it derives from the holders, also for those without a bound.
    """

    def __init__(
        self,
        what: str,
        *,
        at_once: int,
        each: int,
        waiting: int,
        waiting_each: int,
        wait_s: float,
        memory_s: float = 0.0,
        ranks: Ranks | None = None,
        retry_after_s: int = RETRY_AFTER_S,
    ) -> None:
        """Name the resource `what` in the message of `TooBusy`, for example "logins"."""
        self._what = what
        self._at_once = at_once
        self._each = each
        self._max_waiting = waiting
        self._max_waiting_each = waiting_each
        self._wait_s = wait_s
        self._retry_after_s = retry_after_s
        self._running = 0
        self._remembers = memory_s > 0
        self._recent = Recent(memory_s)
        self._ranks = ranks or _as_they_are
        self._latest = Latest()
        self._held: Counter[str] = Counter()
        self._waiting_of: Counter[str] = Counter()
        self._waiting = 0
        # Places grouped by holders, in order of arrival: thousands may wait for a few holders as
        # well as for thousands, and every turn scans the groups.
        self._queue: dict[tuple[str, ...], dict[_Waiting, None]] = {}

    @property
    def running(self) -> int:
        """The number of turns that are held."""
        return self._running

    @property
    def waiting(self) -> int:
        """The number of requests that wait for a turn."""
        return self._waiting

    def is_free_for(self, holders: tuple[str, ...]) -> bool:
        """Whether `holders` would get a turn immediately."""
        return self.has_free and self._most_held(holders) < self._each

    @property
    def has_free(self) -> bool:
        """Whether a turn is free."""
        return self._running < self._at_once

    def held_by(self, *holders: str) -> int:
        """Return the largest number of turns that any one of `holders` holds."""
        return self._most_held(holders)

    @asynccontextmanager
    async def turn(self, *holders: str) -> AsyncIterator[None]:
        """Hold a turn during an `async with` block, counted for each of `holders`.

        Raises `TooBusy` before the block if no turn becomes available.
        """
        await self._take(holders)
        try:
            yield
        finally:
            self._give_back(holders)

    async def _take(self, holders: tuple[str, ...]) -> None:
        if self.is_free_for(holders):
            # No request in the queue could use it, or it would have it already.
            self._start(holders)
            return
        place = _Waiting(holders)
        self._join(place)
        self._make_room(holders)
        try:
            async with asyncio.timeout(self._wait_s):
                await place.granted
        except TimeoutError:
            pass  # The turn may have been granted in the same iteration of the event loop.
        except asyncio.CancelledError:
            if _has_turn(place):
                self._give_back(holders)
            raise
        finally:
            if place in self._queue.get(holders, ()):
                self._leave(place)
        if not _has_turn(place):
            raise self._busy()

    def _make_room(self, holders: tuple[str, ...]) -> None:
        """Evict the request with the most places if the queue or one holder's part is too long."""
        crowded = {each for each in holders if self._waiting_of[each] > self._max_waiting_each}
        if not crowded and self._waiting <= self._max_waiting:
            return
        # `max` returns the first of equals, which may be the newest request.
        order = self._queue if self._remembers else reversed(self._queue)
        chosen = max((each for each in order if crowded.issubset(each)), key=self._wanted)
        places = self._queue[chosen]
        place = next(iter(places) if self._remembers else reversed(places))
        self._leave(place)
        if not place.granted.done():
            place.granted.set_result(False)

    def _wanted(self, holders: tuple[str, ...]) -> list[int]:
        """Return how much each of `holders` waits for and has had recently; the most gives way."""
        if self._remembers:
            ranks = self._ranks(holders)
            return [self._recent.of(each) + self._waiting_of[each] for each in ranks]
        # The largest first, as in `Latest.of`.
        return sorted((self._waiting_of[each] for each in holders), reverse=True)

    def _claim(self, holders: tuple[str, ...]) -> tuple[object, ...]:
        """Return the sort key for granting turns: the smallest goes first."""
        ranks = self._ranks(holders)
        had = tuple(map(self._recent.of, ranks)) if self._remembers else ()
        return self._most_held(holders), had, self._latest.of(ranks)

    def _most_held(self, holders: tuple[str, ...]) -> int:
        most = 0
        for holder in holders:
            held = self._held.get(holder, 0)
            if held > most:
                most = held
        return most

    def _start(self, holders: tuple[str, ...]) -> None:
        self._running += 1
        self._held.update(holders)
        ranks = self._ranks(holders)
        self._recent.add(ranks)
        self._latest.add(ranks)

    def _give_back(self, holders: tuple[str, ...]) -> None:
        self._running -= 1
        _subtract(self._held, holders)
        self._hand_out()

    def _hand_out(self) -> None:
        while self.has_free and self._queue:
            # `min` returns the first of equals, which has waited longest.
            holders = min(self._queue, key=self._claim)
            place = next(iter(self._queue[holders]))
            if place.granted.cancelled():
                self._leave(place)
            elif self.is_free_for(holders):
                self._leave(place)
                self._start(holders)
                place.granted.set_result(True)
            else:
                return

    def _join(self, place: _Waiting) -> None:
        self._queue.setdefault(place.holders, {})[place] = None
        self._waiting += 1
        self._waiting_of.update(place.holders)

    def _leave(self, place: _Waiting) -> None:
        places = self._queue[place.holders]
        del places[place]
        if not places:
            del self._queue[place.holders]
        self._waiting -= 1
        _subtract(self._waiting_of, place.holders)

    def _busy(self) -> TooBusy:
        return TooBusy(self._what, retry_after_s=self._retry_after_s)


def _as_they_are(holders: tuple[str, ...]) -> tuple[str, ...]:
    return holders


def _has_turn(place: _Waiting) -> bool:
    granted = place.granted
    return granted.done() and not granted.cancelled() and granted.result()


def _subtract(counter: Counter[str], holders: tuple[str, ...]) -> None:
    """Decrement each of `holders`, and drop zeros, because strangers choose the names."""
    for holder in holders:
        counter[holder] -= 1
        if counter[holder] <= 0:
            del counter[holder]
