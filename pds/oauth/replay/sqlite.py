"""Replay stores in SQLite: `oauth_replay.sqlite`, and in memory for when that file fails.

The file is expendable and is never synced: what it holds matters for minutes, or a day at most.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import structlog

from database.connection import Database
from database.errors import DatabaseDamaged, DatabaseError
from database.opening import open_database
from database.shared_writes import SharedWrites
from database.temporary import open_in_memory
from database.timestamps import Clock
from database.wal import files_of
from pds.oauth.replay.errors import ReplayStoreFailed
from pds.oauth.replay.store import key_of

MAX_BYTES: Final = 64 * 1024 * 1024
"""Limit for the pages in use: about 800,000 values. Beyond it, those that expire first go."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS holdfast_used (
  id BLOB PRIMARY KEY,
  expires_at REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS holdfast_used_expires_at ON holdfast_used (expires_at);
"""
# An expired row counts as absent: it is taken over.
_ADD: Final = """
INSERT INTO holdfast_used (id, expires_at) VALUES (?1, ?3)
ON CONFLICT (id) DO UPDATE SET expires_at = excluded.expires_at WHERE expires_at <= ?2
"""
_REMOVE: Final = """
DELETE FROM holdfast_used WHERE id IN (
  SELECT id FROM holdfast_used WHERE expires_at <= ? ORDER BY expires_at LIMIT ?
)
"""
_SWEEP_EVERY: Final = 64
"""Values between two sweeps, which remove more than that many rows."""
_REMOVED_AT_ONCE: Final = 200
_NEVER: Final = 1e18

_log = structlog.get_logger(__name__)


class SqliteReplays:
    """A `ReplayStore` in one file, for all processes of this machine."""

    def __init__(self, db: Database, *, clock: Clock, max_bytes: int = MAX_BYTES) -> None:
        """Use `db`, making its table if need be. Raises `DatabaseError`."""
        self._db = db
        self._writes = SharedWrites(db)
        self._clock = clock
        self._max_pages = max_bytes // int(db.value("PRAGMA page_size"))
        self._until_sweep = _SWEEP_EVERY
        db.script(_SCHEMA)
        # From now on on the event loop, which retries do not block.
        db.connection.set_busy_timeout(0)

    @classmethod
    def open(cls, path: Path, *, clock: Clock) -> SqliteReplays:
        """Open or create the file at `path`, replacing a damaged one. Raises `DatabaseError`."""
        try:
            return cls(_open(path), clock=clock)
        except DatabaseDamaged as exc:
            _log.warning("replacing the file of used DPoP proofs", error=str(exc))
            for file in files_of(path):
                file.unlink(missing_ok=True)
            return cls(_open(path), clock=clock)

    @classmethod
    def in_memory(cls, *, clock: Clock) -> SqliteReplays:
        """Return a store for this process alone."""
        return cls(open_in_memory(), clock=clock)

    async def unique(self, namespace: str, value: str, ttl_s: float) -> bool:
        """See `ReplayStore.unique`."""
        key = key_of(namespace, value)
        try:
            return await self._writes.make(lambda: self._add(key, ttl_s))
        except DatabaseError as exc:
            raise ReplayStoreFailed(str(exc)) from exc

    async def close(self) -> None:
        """See `ReplayStore.close`."""
        await asyncio.to_thread(self._db.close_in_thread)

    def _add(self, key: bytes, ttl_s: float) -> bool:
        now_s = self._clock()
        self._db.run(_ADD, (key, now_s, now_s + ttl_s))
        is_new = self._db.changes > 0
        self._until_sweep -= 1
        if self._until_sweep <= 0:
            self._until_sweep = _SWEEP_EVERY
            self._sweep(now_s)
        return is_new

    def _sweep(self, now_s: float) -> None:
        """Remove some expired rows; if the file is full, also the ones that expire first."""
        is_full = self._pages_in_use() > self._max_pages
        self._db.run(_REMOVE, (_NEVER if is_full else now_s, _REMOVED_AT_ONCE))

    def _pages_in_use(self) -> int:
        pages, free = self._db.value("PRAGMA page_count"), self._db.value("PRAGMA freelist_count")
        return int(pages) - int(free)


def _open(path: Path) -> Database:
    db = open_database(path)
    with db.closed_on_error():
        db.run("PRAGMA synchronous = OFF")
        # A power failure can damage a file that is never synced.
        found = db.value("PRAGMA quick_check(1)")
        if found != "ok":
            raise DatabaseDamaged(path, str(found))
    return db
