"""Counters that the processes of one server share: they are in the first one.

Limits that guard against guessing are exact: the first process is asked, once for all requests of
a step of the event loop. Generous ones are counted by each worker until they are nearly used up,
and the first process is told a moment later, so that an ordinary request waits for nobody.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from cachetools import LRUCache

from pds.peers.calls import HasPeers, by_first
from pds.rate_limits.memory import MAX_KEYS, MemoryStore
from pds.rate_limits.store import Count, Hit

GENEROUS: Final = 1000
"""From so many points on, a limit need not be exact."""
_NEARLY_USED: Final = 0.75
TELL_AFTER_S: Final = 0.02
"""How much later the first process is told: in that time, one client uses less than the rest."""

WireHit: TypeAlias = tuple[str, int, str, int]
"""The name of a limit, its window in seconds, the key and the points."""


class CountingContext(HasPeers, Protocol):
    """A context, as far as counters need it."""

    counters: MemoryStore | SharedStore


@by_first
async def count_hits(ctx: CountingContext, hits: list[WireHit]) -> list[tuple[int, int]]:
    """Count hits of another process. Return what is used of each, and when it resets, in ms."""
    counters = ctx.counters
    if not isinstance(counters, MemoryStore):
        raise TypeError("the counters are in the first process")
    return [counters.count(*hit) for hit in hits]


@dataclass(slots=True)
class _Known:
    used: int
    ends_ms: int


class SharedStore:
    """A `CounterStore` of a worker. `now_ms` is a monotonic clock."""

    def __init__(
        self,
        ctx: CountingContext,
        *,
        now_ms: Callable[[], int] = lambda: time.monotonic_ns() // 1_000_000,
    ) -> None:
        self._ctx = ctx
        self._now_ms = now_ms
        self._known: LRUCache[tuple[str, str], _Known] = LRUCache(MAX_KEYS)
        self._waiting: list[Hit] = []
        self._answer: asyncio.Future[list[Count]] | None = None
        """The answer to the hits that wait; None if nobody waits for it."""
        self._due: asyncio.Handle | None = None
        self._asking: set[asyncio.Task[None]] = set()

    async def add(self, hits: Sequence[Hit]) -> list[Count]:
        """See `CounterStore.add`. Raises `PeerGone`."""
        counted = self._count_here(hits)
        first = len(self._waiting)
        self._waiting += hits
        if counted is not None:
            if self._due is None:
                self._due = asyncio.get_running_loop().call_later(TELL_AFTER_S, self._send)
            return counted
        if self._answer is None:
            loop = asyncio.get_running_loop()
            self._answer = loop.create_future()
            if self._due is not None:
                self._due.cancel()
            self._due = loop.call_soon(self._send)
        # Shielded, because others may wait for the same answer if this request is cancelled.
        counts = await asyncio.shield(self._answer)
        return counts[first : first + len(hits)]

    async def close(self) -> None:
        """See `CounterStore.close`."""
        if self._due is not None:
            self._due.cancel()
            self._send()
        if self._asking:
            await asyncio.wait(self._asking)

    def _count_here(self, hits: Sequence[Hit]) -> list[Count] | None:
        """Count hits if it is known that each limit is generous and not nearly used up."""
        now_ms = self._now_ms()
        counters = []
        for limit, key, points in hits:
            known = self._known.get((limit.name, key)) if limit.points >= GENEROUS else None
            if known is None or known.ends_ms <= now_ms:
                return None
            if known.used + points > limit.points * _NEARLY_USED:
                return None
            counters.append(known)
        counts = []
        for hit, known in zip(hits, counters, strict=True):
            known.used += hit.points
            counts.append(Count(hit.limit, known.used, known.ends_ms - now_ms))
        return counts

    def _send(self) -> None:
        hits, self._waiting = self._waiting, []
        answer, self._answer, self._due = self._answer, None, None
        task = asyncio.create_task(self._ask(hits, answer))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _ask(self, hits: list[Hit], answer: asyncio.Future[list[Count]] | None) -> None:
        wire = [(limit.name, limit.window_s, key, points) for limit, key, points in hits]
        try:
            counted = await count_hits(self._ctx, wire)
        except Exception as exc:  # noqa: BLE001 (those who wait get it)
            if answer is not None and not answer.cancelled():
                answer.set_exception(exc)
            return
        now_ms = self._now_ms()
        counts = []
        for hit, (used, resets_in_ms) in zip(hits, counted, strict=True):
            counts.append(Count(hit.limit, used, resets_in_ms))
            self._learn((hit.limit.name, hit.key), used, now_ms, resets_in_ms)
        if answer is not None and not answer.cancelled():
            answer.set_result(counts)

    def _learn(self, counter: tuple[str, str], used: int, now_ms: int, resets_in_ms: int) -> None:
        known = self._known.get(counter)
        if known is not None and known.ends_ms > now_ms:
            # What has been counted here meanwhile is not in the answer.
            used = max(used, known.used)
        self._known[counter] = _Known(used, now_ms + resets_in_ms)
