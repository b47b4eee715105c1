"""Writing counts to the stats records, in commits of many records each."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import structlog

from actor_store.errors import RecordExists, RecordNotFound, SwapMismatch, TooManyWrites
from actor_store.writes import MAX_WRITES, PreparedWrite
from database.retry import write
from database.timestamps import Clock, iso_of
from pds.hold.records import STATS, published_stats_rkey, read_value, stats_rkey
from pds.hold.stats.journal import Pair, Staged, StatsJournal, was_committed
from pds.hold.stats.reader import find_record
from pds.hold.stats_record import StatsRecord, Totals, stats_value, totals_of
from pds.repos.commits import commit
from repo import dagcbor
from repo.cid import Cid
from repo.dagcbor import InvalidDagCbor
from repo.mst import InvalidMst
from repo.record import MAX_RECORD_BYTES

if TYPE_CHECKING:
    from actor_store.reader import ActorStoreReader
    from database.connection import Database
    from pds.context import AppContext
    from pds.hold.repo_index import RepoIndex
    from repo.syntax import Did

_RACES: Final = (SwapMismatch, RecordExists, RecordNotFound)
"""Somebody else has changed a record since it was read."""
_TRIES: Final = 5
_REFUSED: Final = (TooManyWrites, InvalidMst)
"""The commit will never be accepted, so it is made smaller: a pair may have a malicious name."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Record:
    """A record that is to be replaced; without a CID and empty if it is new."""

    rkey: str
    cid: Cid | None
    value: Mapping[str, Any]


class StatsWriter:
    """Moves counts from the journal to the records. The caller runs one method at a time."""

    def __init__(
        self,
        ctx: AppContext,
        did: Did,
        db: Database,
        index: RepoIndex,
        journal: StatsJournal,
        *,
        clock: Clock,
    ) -> None:
        self._ctx = ctx
        self._did = did
        self._db = db
        self._index = index
        self._journal = journal
        self._clock = clock
        self._batch = MAX_WRITES

    async def write_all(self) -> None:
        """Write everything in the journal. Raises what `commit` raises; no count is lost then."""
        races = 0
        while True:
            try:
                await self.settle()
                if not await self._write_batch():
                    return
            except _RACES:
                races += 1
                if races == _TRIES:
                    raise
            except _REFUSED as exc:
                await self._make_smaller(exc)
            else:
                races = 0
                self._batch = min(self._batch * 2, MAX_WRITES)

    async def settle(self) -> None:
        """Find out whether the last commit was made, and end it in the journal."""
        staged = self._journal.staged()
        if not staged:
            return
        current = await self._ctx.actor_store.read(
            self._did,
            lambda actor: {row.rkey: actor.record.find_cid(STATS, row.rkey) for row in staged},
        )
        texts = {rkey: None if cid is None else str(cid) for rkey, cid in current.items()}
        committed = was_committed(staged, texts)
        await write(self._db, lambda: self._journal.settle(committed=committed))

    async def _write_batch(self) -> bool:
        """Write one commit; return whether there was anything to write."""
        await self._index.follow()
        pairs = self._journal.pairs(self._batch)
        if not pairs:
            return False
        records = await self._ctx.actor_store.read(
            self._did, lambda actor: {pair: self._find(actor, pair) for pair in pairs}
        )
        await asyncio.sleep(0)
        writes = await write(self._db, lambda: self._stage(records))
        # Each step takes milliseconds for so many records: others have their turn in between.
        await asyncio.sleep(0)
        try:
            await commit(self._ctx, self._did, lambda _: writes)
        except (*_RACES, *_REFUSED):
            await write(self._db, lambda: self._journal.settle(committed=False))
            raise
        await write(self._db, lambda: self._journal.settle(committed=True))
        return True

    def _find(self, actor: ActorStoreReader, pair: Pair) -> _Record:
        """Return the record to write for a pair: the one about it, or a free key."""
        known = find_record(self._db, pair)
        keys = [] if known is None else [known[0]]
        keys += [stats_rkey(*pair), published_stats_rkey(*pair)]
        found = [_read(actor, rkey) for rkey in keys]
        for record in found:
            if record.cid is None or _is_about(record.value, pair):
                return record
        # Both keys are those of this pair, so what the records say is a mistake.
        return found[-2]

    def _stage(self, records: Mapping[Pair, _Record]) -> Sequence[PreparedWrite]:
        """Prepare the writes, and move their counts in the journal."""
        now = iso_of(self._clock())
        staged, writes = [], []
        for pair, record in records.items():
            added = self._journal.counted(pair)
            before = record.value if _is_about(record.value, pair) else {}
            totals = totals_of(before) + added
            block = _encode(record.value, pair, totals, now)
            cid = Cid.of_dag_cbor(block)
            writes.append(
                PreparedWrite(
                    "create" if record.cid is None else "update",
                    STATS,
                    record.rkey,
                    cid,
                    block,
                    swap_record=record.cid,
                )
            )
            previous = None if record.cid is None else str(record.cid)
            staged.append(Staged(pair, record.rkey, str(cid), previous, added, totals))
        self._journal.stage(staged)
        return writes

    async def _make_smaller(self, exc: Exception) -> None:
        """Halve the next commit; drop the pair that not even a commit of its own can hold."""
        if self._batch > 1:
            self._batch //= 2
            return
        pairs = self._journal.pairs(1)
        await write(self._db, lambda: self._journal.forget_counts(pairs))
        _log.error("the counts of a repository are dropped", pair=pairs, reason=str(exc))


def _encode(previous: Mapping[str, Any], pair: Pair, totals: Totals, now: str) -> bytes:
    did, repository = pair
    value = stats_value(previous, did=did, repository=repository, totals=totals, now=now)
    try:
        block = dagcbor.encode_checked(value)
    except InvalidDagCbor:
        block = b""
    if 0 < len(block) <= MAX_RECORD_BYTES:
        return block
    # An imported record may have fields that none may have today: those are not kept.
    value = stats_value({}, did=did, repository=repository, totals=totals, now=now)
    return dagcbor.encode_checked(value)


def _read(actor: ActorStoreReader, rkey: str) -> _Record:
    found = actor.record.find(STATS, rkey, include_takendown=True)
    if found is None:
        return _Record(rkey, None, {})
    return _Record(rkey, found.cid, read_value(found.block) or {})


def _is_about(value: Mapping[str, Any], pair: Pair) -> bool:
    stats = StatsRecord.of(value)
    return stats is not None and (stats.did, stats.repository) == pair
