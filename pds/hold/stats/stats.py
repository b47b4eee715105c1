"""Pulls and pushes, counted for each repository of images without a write for each request.

Counts gather in memory, are written to the journal every second, and from there to the records of
the hold's repository in batches, so that a thousand pulls make one commit. A crash loses at most
what was counted since the last write of the journal, and nothing is counted twice: see `journal`.
While the disk is full, counts stay where they are, and are tried again later.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import structlog

from actor_store.errors import ActorStoreError
from database.errors import DatabaseError
from database.retry import write
from database.timestamps import Clock
from pds.hold.repeating import end, repeat
from pds.hold.stats.counting import Counts, NewPairs
from pds.hold.stats.journal import Pair, StatsJournal
from pds.hold.stats.reader import StatsReader
from pds.hold.stats.writer import StatsWriter

if TYPE_CHECKING:
    from database.connection import Database
    from pds.context import AppContext
    from pds.hold.repo_index import RepoIndex
    from repo.syntax import Did

JOURNAL_S: Final = 1.0
"""How long a count may be in memory alone."""
_STEP: Final = 500
"""Pairs that are written to the journal in one step of the event loop."""

_log = structlog.get_logger(__name__)


class Stats:
    """Counts pulls and pushes, and answers how many there were. Belongs to one event loop."""

    def __init__(
        self,
        ctx: AppContext,
        did: Did,
        db: Database,
        index: RepoIndex,
        *,
        interval_s: float,
        journal_s: float = JOURNAL_S,
        clock: Clock = time.time,
        new_pairs: NewPairs | None = None,
    ) -> None:
        """Count for the hold `did`, whose records are written every `interval_s` seconds."""
        self._db = db
        self._index = index
        self._intervals = (journal_s, interval_s)
        self._counts = Counts(clock)
        self._new_pairs = NewPairs() if new_pairs is None else new_pairs
        self._journal = StatsJournal(db)
        self._writer = StatsWriter(ctx, did, db, index, self._journal, clock=clock)
        self._reader = StatsReader(db, index, self._journal, self._counts)
        self.of = self._reader.of
        self.list = self._reader.list
        self._tasks: list[asyncio.Task[None]] = []
        self._counted, self._journaled = asyncio.Event(), asyncio.Event()
        self._lock = asyncio.Lock()

    def count_pull(self, did: str, repository: str) -> bool:
        """Count a pull of something that was found; return False if it cannot be counted."""
        self._counted.set()
        return self._counts.pull(did, repository)

    def count_push(self, did: str, repository: str) -> bool:
        """Count a push by the owner; return False if it cannot be counted."""
        self._counted.set()
        return self._counts.push(did, repository)

    async def start(self) -> None:
        """End what a crash has interrupted, and begin to write at intervals."""
        try:
            await self._writer.settle()
        except (ActorStoreError, DatabaseError) as exc:
            _log.error("counts of the last run are not settled yet", reason=str(exc))
        if self._db.value("SELECT EXISTS (SELECT 1 FROM count)"):
            self._journaled.set()
        journal_s, interval_s = self._intervals
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(
                repeat(self._counted, journal_s, self.write_journal, what="the journal of counts")
            ),
            loop.create_task(
                repeat(self._journaled, interval_s, self.write_records, what="stats records")
            ),
        ]

    async def close(self) -> None:
        """Write everything; what cannot be written stays in the journal."""
        await end(self._tasks)
        try:
            await self.write_records()
        except Exception as exc:  # noqa: BLE001 (nothing may prevent the server from stopping)
            _log.error("counts are not written to records; the next start does", reason=str(exc))

    async def write_journal(self) -> None:
        """Move what is counted in memory to the journal. Raises `DatabaseError`s."""
        while len(self._counts):
            moved, refused, new = await write(self._db, self._move)
            # Memory is changed once the journal has the counts, in the same step of the event loop.
            self._counts.remove(moved + refused)
            self._new_pairs.use(new)
            self._journaled.set()
            if refused:
                _log.warning("pulls of new images are not counted: too many", images=len(refused))
            await asyncio.sleep(0)

    async def write_records(self) -> None:
        """Write all counts to the records. Raises what `commit` raises; no count is lost then."""
        async with self._lock:
            await self.write_journal()
            await self._writer.write_all()

    async def forget(self, did: str) -> None:
        """Drop what is counted for an owner and in no record yet: their records are to go."""
        async with self._lock:
            await self._writer.settle()
            self._counts.forget_owner(did)
            await write(self._db, lambda: self._journal.forget_owner(did))

    def _move(self) -> tuple[list[Pair], list[Pair], int]:
        """Write counts to the journal.

        Returns the pairs that are in it, those that may not be, and how many are new by pulls.
        """
        moved, refused = [], []
        new, room = 0, self._new_pairs.left()
        for pair, totals in self._counts.peek(_STEP):
            is_known = totals.pushes > 0 or self._journal.is_known(pair)
            if is_known or new < room:
                moved.append((pair, totals))
                new += not is_known
            else:
                refused.append(pair)
        self._journal.add(moved)
        return [pair for pair, _ in moved], refused, new
