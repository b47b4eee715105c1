"""The queue of actors to sync. It is in the ledger: memory has only those whose turn it is.

A mark is written before it is acted upon, so a crash loses none. Results are written together,
some times a second; until then their actors are not handed out again.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from pds.replication.ledger.ledger import Ledger
from pds.replication.ledger.rows import DirtyActor, Failed, Mark, Settled
from pds.replication.syncing.lag import Lag

FLUSH_S: Final = 0.2
"""How long a result waits for others."""
_CHUNK: Final = 500
"""Rows that are written in one step of the event loop: some milliseconds."""
_AHEAD: Final = 64
"""How many are read from the ledger at a time."""


class DirtyQueue:
    """Which actors are to be synced, oldest change first; each is handed out once at a time."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        earliest_ms: Callable[[str], int],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take over what is dirty in `ledger`.

        `earliest_ms` returns from when on (Unix milliseconds) an actor may be synced, so that one
        that changes all the time does not fill the replica with files. `clock` returns Unix
        seconds.
        """
        self._ledger = ledger
        self._earliest_ms = earliest_ms
        self._clock = clock
        self._ahead: deque[DirtyActor] = deque()
        self._taken: dict[str, int | None] = {}
        """Those handed out or read ahead; with the time at which one changed again, if it did."""
        self._started: set[str] = set()
        self._settled: dict[str, Settled] = {}
        self._failed: list[Failed] = []
        self._flushing = asyncio.Lock()
        self.lag: Final = Lag()
        self.wake: Final = asyncio.Event()
        """Set when there may be something to hand out."""

    @property
    def now_ms(self) -> int:
        """The time, as in the ledger."""
        return int(self._clock() * 1000)

    async def mark(self, changed: Mapping[str, int], *, cursor: int | None = None) -> None:
        """Mark actors dirty, each with when it changed, and then move the event log's cursor.

        Raises `DatabaseError`s; the cursor has not moved then, so that the same can be tried again.
        """
        now_ms = self.now_ms
        for did in changed:
            if did in self._started:
                self._taken[did] = self._taken[did] or now_ms
        items = [(did, min(since_ms, now_ms)) for did, since_ms in changed.items()]
        for start in range(0, len(items) or 1, _CHUNK):
            marks = [
                Mark(did, since_ms, max(since_ms, self._earliest_ms(did)))
                for did, since_ms in items[start : start + _CHUNK]
            ]
            is_last = start + _CHUNK >= len(items)
            await self._ledger.write(partial(self._write_marks, marks, cursor if is_last else None))
            self.wake.set()
            if not is_last:
                await asyncio.sleep(0)

    def _write_marks(self, marks: Iterable[Mark], cursor: int | None) -> None:
        self._ledger.actors.mark(marks)
        if cursor is not None:
            self._ledger.state.set_cursor(cursor)

    async def add(self, found: list[tuple[str, int]]) -> None:
        """Add actors never looked at before, each with when it changed. Raises `DatabaseError`s."""
        now_ms = self.now_ms
        for start in range(0, len(found), _CHUNK):
            part = found[start : start + _CHUNK]
            await self._ledger.write(partial(self._ledger.actors.add, part, now_ms=now_ms))
            self.wake.set()
            await asyncio.sleep(0)

    async def after_clock_jump(self) -> None:
        """Let nobody wait for a time that the clock was set back from. Raises `DatabaseError`s."""
        await self._ledger.write(partial(self._ledger.actors.hasten, self.now_ms))
        self.wake.set()

    def take(self) -> DirtyActor | None:
        """Hand out the actor whose turn it is. It must be settled, failed or put back."""
        if not self._ahead:
            self._read_ahead()
        if not self._ahead:
            return None
        actor = self._ahead.popleft()
        self._started.add(actor.did)
        return actor

    def _read_ahead(self) -> None:
        # Those taken are still dirty in the ledger, and may be the first ones there.
        found = self._ledger.actors.due(self.now_ms, limit=_AHEAD + len(self._taken))
        for actor in found:
            if actor.did not in self._taken:
                self._taken[actor.did] = None
                self._ahead.append(actor)

    def settle(self, actor: DirtyActor, *, txid: int, signature: int | None) -> None:
        """Note that all of an actor that was handed out has reached the replica."""
        now_ms = self.now_ms
        if actor.is_urgent:
            self.lag.add(max(0, now_ms - actor.since_ms) / 1000)
        self._settled[actor.did] = Settled(actor.did, txid, now_ms, signature)

    def fail(self, actor: DirtyActor, error: str, *, after_s: float) -> None:
        """Note that an actor that was handed out could not be synced; it is tried again later."""
        now_ms = self.now_ms
        self._failed.append(Failed(actor.did, now_ms, now_ms + int(after_s * 1000), error))

    def put_back(self, did: str) -> None:
        """Let an actor that was handed out be handed out again: nothing is known of it."""
        self._release(did)

    async def note_closed(self, did: str, *, txid: int, signature: int | None) -> None:
        """Note that all of an actor has reached the replica when it was closed.

        Not for one that has been marked dirty since. Raises `DatabaseError`s.
        """
        settled = self._settled.get(did)
        if settled is not None:
            # The sync before has yet to be written.
            self._settled[did] = replace(settled, txid=txid, signature=signature)
            return
        await self._ledger.write(
            partial(self._ledger.actors.set_closed, did, txid=txid, signature=signature)
        )

    def is_synced(self, did: str, signature: int) -> bool:
        """Whether everything of files that look so is in the replica. Raises `DatabaseError`s."""
        return self._ledger.actors.signature_of(did) == signature

    def has_urgent(self) -> bool:
        """Whether anything waits to be synced now that was seen to change."""
        return bool(self._started) or self._ledger.actors.has_due(self.now_ms)

    async def forget_deleted(self, did: str) -> None:
        """Note that an actor that was handed out is gone. Raises `DatabaseError`s."""
        if self._taken.get(did) is not None:
            # It has changed since, so perhaps it is there again.
            self._release(did)
            return
        now_ms = self.now_ms
        await self._ledger.write(partial(self._ledger.actors.mark_deleted, (did,), now_ms=now_ms))
        self._release(did)

    def _release(self, did: str) -> None:
        self._taken.pop(did, None)
        self._started.discard(did)
        self.wake.set()

    async def flush(self) -> None:
        """Write the results so far. Raises `DatabaseError`s; then they wait for the next time."""
        async with self._flushing:
            settled, failed = self._settled, self._failed
            if not settled and not failed:
                return
            self._settled, self._failed = {}, []
            try:
                await self._ledger.write(lambda: self._write_results(settled.values(), failed))
            except BaseException:
                self._settled = settled | self._settled
                self._failed = failed + self._failed
                raise
            for did in [*settled, *(each.did for each in failed)]:
                self._release(did)

    def _write_results(self, settled: Iterable[Settled], failed: Iterable[Failed]) -> None:
        self._ledger.actors.settle(self._with_changes_since(each) for each in settled)
        self._ledger.actors.fail(failed)

    def _with_changes_since(self, settled: Settled) -> Settled:
        """Return a result with whether the actor changed again after its sync had begun."""
        again_ms = self._taken.get(settled.did)
        if again_ms is None:
            return settled
        turn_ms = max(again_ms, self._earliest_ms(settled.did))
        return replace(settled, again_ms=again_ms, turn_ms=turn_ms)
