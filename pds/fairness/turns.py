"""A bounded number of turns at a scarce resource, handed out fairly."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from pds.fairness.recent import Latest, Recent

RETRY_AFTER_S: Final = 2
"""The default wait that a refused client is told."""


Ranks: TypeAlias = Callable[[tuple[str, ...]], tuple[str, ...]]


class TooBusy(Exception):
    """No turn is available soon: too many wait already, or this one has waited too long."""

    def __init__(self, what: str, *, retry_after_s: int = RETRY_AFTER_S) -> None:
        self.what = what
        self.retry_after_s = retry_after_s
        super().__init__(f"The server is busy with {what}. Try again in {retry_after_s} seconds.")


@dataclass(slots=True, eq=False)
class _Waiting:
    """A place in the queue. Ends with a turn, without one, or with a cancelled future."""

    holders: tuple[str, ...]
    granted: asyncio.Future[bool] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Turns:
    """At most `at_once` turns at a time, at most `each` of them held by any one holder.

    If no turn is free, a request waits. A free turn goes to the request whose holders hold the
    fewest, and among these to the one whose holders have gone longest without a turn. So a holder
    waits for one turn of each other holder, however often those ask. Places in the queue are
    limited as well: at most `waiting` in total and `waiting_each` per holder, for at most `wait_s`
    seconds. If no place is left, the request whose holders have the most places gives way. A
    request that stops waiting, because its client has left, leaves no trace.

    With `memory_s`, turns of that many past seconds count, too: among requests whose holders hold
    equally many, the one with the fewest past turns goes first and gives way last; the first of
    `holders` takes precedence over the others. Among equals, the request that has waited longest
    gives way, not the new one. This is for turns that strangers want so often that the queue is
    always full: the turns they hold hardly distinguish them from one-time requesters, who should
    find a place. `ranks` maps the holders to the names that turns are counted under for this order,
    which need not have a limit.
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
        """`what` names the resource in the message of `TooBusy`, such as "logins"."""
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
        # Grouped by holders, in order of arrival: thousands may wait for just a few holders, and
        # every turn scans the groups.
        self._queue: dict[tuple[str, ...], dict[_Waiting, None]] = {}

    @property
    def running(self) -> int:
        """The number of turns being held."""
        return self._running

    @property
    def waiting(self) -> int:
        """The number of requests waiting for a turn."""
        return self._waiting

    def is_free_for(self, holders: tuple[str, ...]) -> bool:
        """Whether `holders` would get a turn at once."""
        return self.has_free and self._most_held(holders) < self._each

    @property
    def has_free(self) -> bool:
        """Whether any turn is free."""
        return self._running < self._at_once

    def held_by(self, *holders: str) -> int:
        """Return the number of turns held by the one of `holders` with the most."""
        return self._most_held(holders)

    @asynccontextmanager
    async def turn(self, *holders: str) -> AsyncIterator[None]:
        """Hold a turn for the length of an `async with` block, for every one of `holders`.

        Raises `TooBusy` before the block if none becomes available.
        """
        await self._take(holders)
        try:
            yield
        finally:
            self._give_back(holders)

    async def _take(self, holders: tuple[str, ...]) -> None:
        if self.is_free_for(holders):
            # No request in the queue can use it, or it would have it already.
            self._start(holders)
            return
        place = _Waiting(holders)
        self._join(place)
        self._make_room(holders)
        try:
            async with asyncio.timeout(self._wait_s):
                await place.granted
        except TimeoutError:
            pass  # The turn may have been granted in the same step of the event loop.
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
        """If too many wait, now including `holders`, make the one with the most places give way."""
        crowded = {each for each in holders if self._waiting_of[each] > self._max_waiting_each}
        if not crowded and self._waiting <= self._max_waiting:
            return
        # `max` returns the first of equals, which may be the new request.
        order = self._queue if self._remembers else reversed(self._queue)
        chosen = max((each for each in order if crowded.issubset(each)), key=self._wanted)
        places = self._queue[chosen]
        place = next(iter(places) if self._remembers else reversed(places))
        self._leave(place)
        if not place.granted.done():
            place.granted.set_result(False)

    def _wanted(self, holders: tuple[str, ...]) -> list[int]:
        """Return the places and recent turns of each of `holders`. The largest gives way."""
        if self._remembers:
            ranks = self._ranks(holders)
            return [self._recent.of(each) + self._waiting_of[each] for each in ranks]
        # As in `Latest.of`, the largest first.
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
    """Decrement the count of each of `holders`; drop zeros, because names come from strangers."""
    for holder in holders:
        counter[holder] -= 1
        if counter[holder] <= 0:
            del counter[holder]
