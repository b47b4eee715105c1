"""`RepoIndex`: tables of hold.sqlite that follow the layer and stats records of the repository.

Every commit of this process is observed in the same step of the event loop, so the index knows
which records it has to read again, whoever changed them. Changes that it has not seen, by another
process or after a crash, show as another rev at the start; then all records are compared.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from database.connection import Database, SqlValue
from database.retry import write
from pds.hold.records import LAYER, STATS, read_value
from pds.hold.stats_record import StatsRecord
from sequencer.events import CommitEvent, Event, SyncEvent

if TYPE_CHECKING:
    from actor_store.reader import ActorStoreReader
    from actor_store.store import ActorStore

_PAGE: Final = 500
"""Records that are read and indexed in one step of the event loop."""
_MAX_CHANGED: Final = 20_000
"""Paths that are remembered; beyond that, all records are compared."""
_MAX_SIZE_BYTES: Final = 2**43
"""More than any object on S3, and so little that sums of a million fit a column."""

_MAX_TEXT: Final = 2_600
"""Of a DID or an at-uri; longer ones are no such names."""
_Columns: TypeAlias = "tuple[SqlValue, ...] | None"


@dataclass(frozen=True, slots=True)
class _Table:
    """How records of one collection become rows; `columns` returns None for no row."""

    name: str
    columns: Callable[[dict[str, Any]], _Columns]
    insert: str


def _layer_columns(value: dict[str, Any]) -> _Columns:
    digest, size = value.get("digest"), value.get("size")
    if not isinstance(digest, str):
        return None
    # Whatever else is wrong with it, the record keeps its blob from being collected.
    whole = size if isinstance(size, int) and not isinstance(size, bool) else 0
    return (
        digest,
        min(max(whole, 0), _MAX_SIZE_BYTES),
        _text(value.get("userDid")),
        _text(value.get("manifest")),
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) and len(value) <= _MAX_TEXT else ""


def _stat_columns(value: dict[str, Any]) -> _Columns:
    stats = StatsRecord.of(value)
    if stats is None:
        return None
    totals = stats.totals
    return (
        stats.did,
        stats.repository,
        totals.pulls,
        totals.pushes,
        totals.last_pull,
        totals.last_push,
    )


_TABLES: Final = {
    LAYER: _Table(
        "layer",
        _layer_columns,
        "INSERT INTO layer (rkey, cid, digest, sizeBytes, userDid, manifest)"
        " VALUES (?, ?, ?, ?, ?, ?)",
    ),
    STATS: _Table(
        "stat",
        _stat_columns,
        "INSERT INTO stat (rkey, cid, did, repository, pulls, pushes, lastPull, lastPush)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    ),
}


@dataclass(frozen=True, slots=True)
class _Change:
    """A record as it is now; `cid` is None if it is gone."""

    collection: str
    rkey: str
    cid: str | None
    columns: _Columns


class RepoIndex:
    """Keeps the tables `layer` and `stat` up to date. Belongs to one event loop."""

    def __init__(self, actor_store: ActorStore, did: str, db: Database) -> None:
        """Index the repository of `did` in `db`."""
        self._actor_store = actor_store
        self._did = did
        self._db = db
        self._changed: set[str] = set()
        self._compare_all = True
        self._lock = asyncio.Lock()

    def observe(self, event: Event) -> None:
        """Note what an event changes. Call it in the step of the event loop that commits."""
        if event.did != self._did:
            return
        if isinstance(event, CommitEvent):
            self._changed.update(
                op.path for op in event.ops if op.path.partition("/")[0] in _TABLES
            )
            if len(self._changed) > _MAX_CHANGED:
                self._compare_all = True
        elif isinstance(event, SyncEvent):
            self._compare_all = True

    async def start(self) -> None:
        """Compare all records if the repository has changed unseen. Raises `DatabaseError`s."""
        rev = self._db.value("SELECT rev FROM indexed")
        self._compare_all = rev != await self._head_rev()
        await self.follow()

    async def follow(self) -> None:
        """Index what has changed. Raises `DatabaseError`s; what is left then is tried again."""
        if not (self._changed or self._compare_all or self._lock.locked()):
            return
        async with self._lock:
            if self._compare_all:
                await self._compare()
            while self._changed:
                await self._apply(
                    [path for path, _ in zip(self._changed, range(_PAGE), strict=False)]
                )

    async def close(self) -> None:
        """Note the rev, so that the next start need not compare. Raises `DatabaseError`s."""
        await self.follow()
        await self._apply([])

    async def _apply(self, paths: list[str]) -> None:
        rev, changes = await self._actor_store.read(self._did, lambda actor: _read(actor, paths))
        self._changed.difference_update(paths)
        is_last = not (self._changed or self._compare_all)
        try:
            await write(self._db, lambda: self._store(changes, rev if is_last else None))
        except BaseException:
            self._changed.update(paths)
            raise

    def _store(self, changes: list[_Change], rev: str | None) -> None:
        db = self._db
        for change in changes:
            table = _TABLES[change.collection]
            db.run(f"DELETE FROM {table.name} WHERE rkey = ?", (change.rkey,))
            if change.columns is not None:
                db.run(table.insert, (change.rkey, change.cid, *change.columns))
        if rev is not None:
            db.run(
                "INSERT INTO indexed (id, rev) VALUES (1, ?)"
                " ON CONFLICT (id) DO UPDATE SET rev = excluded.rev",
                (rev,),
            )

    async def _compare(self) -> None:
        """Compare all records with the rows, page by page, and index those that differ."""
        # What changes from now on is observed, also in pages that are compared already.
        self._compare_all = False
        try:
            for collection, table in _TABLES.items():
                cursor: str | None = ""
                while cursor is not None:
                    cursor = await self._compare_page(collection, table, cursor)
                    await asyncio.sleep(0)
            await self._apply([])
        except BaseException:
            self._compare_all = True
            raise

    async def _compare_page(self, collection: str, table: _Table, cursor: str) -> str | None:
        """Compare the records after `cursor`; return the next cursor, None at the end."""
        refs = await self._actor_store.read(
            self._did,
            lambda actor: actor.record.list_refs(
                collection, limit=_PAGE, cursor=cursor, reverse=True
            ),
        )
        stored = {ref.rkey: str(ref.cid) for ref in refs}
        rows: dict[str, str] = dict(
            self._db.all(
                f"SELECT rkey, cid FROM {table.name} WHERE rkey > ? ORDER BY rkey LIMIT ?",
                (cursor, _PAGE),
            )
        )
        ends = [max(page) for page in (stored, rows) if len(page) == _PAGE]
        end = min(ends) if ends else None
        differing = [
            f"{collection}/{rkey}"
            for rkey in stored.keys() | rows.keys()
            if (end is None or rkey <= end) and stored.get(rkey) != rows.get(rkey)
        ]
        if differing:
            await self._apply(differing)
        return end

    async def _head_rev(self) -> str:
        return await self._actor_store.read(self._did, lambda actor: actor.repo.head().rev)


def _read(actor: ActorStoreReader, paths: Iterable[str]) -> tuple[str, list[_Change]]:
    """Return the rev, and the records at `paths` as they are in it."""
    changes = []
    for path in paths:
        collection, _, rkey = path.partition("/")
        found = actor.record.find(collection, rkey, include_takendown=True)
        if found is None:
            changes.append(_Change(collection, rkey, None, None))
            continue
        value = read_value(found.block) or {}
        changes.append(
            _Change(collection, rkey, str(found.cid), _TABLES[collection].columns(value))
        )
    return actor.repo.head().rev, changes
