"""A row of the ledger for each actor: what of it has reached the replica.

An actor that has changed is marked dirty, which is on disk before anything else happens. Whether a
mark is still there after a sync depends on what else changed meanwhile: see `Settled.again_ms`.

Urgent ones are those that were seen to change. They take turns by `turn`, the time from which they
may be synced: the first mark, or after a failure a later time. Others were never looked at before;
they come after, those with the newest files first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

from database.connection import Database
from pds.replication.ledger.rows import (
    ActorCounts,
    DirtyActor,
    Failed,
    Mark,
    Settled,
    SweptRow,
)

SHARDS: Final = 256
_MAX_ERROR: Final = 500
"""Characters of an error that are kept."""

_MARK: Final = (
    "INSERT INTO actor (shard, did, dirtySinceMs, urgent, turn) VALUES (?, ?, ?, 1, ?)"
    " ON CONFLICT DO UPDATE SET urgent = 1, turn = excluded.turn,"
    " dirtySinceMs = coalesce(dirtySinceMs, excluded.dirtySinceMs)"
    " WHERE dirtySinceMs IS NULL OR urgent = 0"
)
_ADD: Final = (
    "INSERT INTO actor (shard, did, dirtySinceMs, urgent, turn) VALUES (?, ?, ?, 0, ?)"
    " ON CONFLICT DO NOTHING"
)
_DUE: Final = (
    "SELECT did, txid, dirtySinceMs, failures, 1 FROM actor"
    " WHERE urgent = 1 AND turn <= ? ORDER BY turn LIMIT ?"
)
_NEVER_SYNCED: Final = (
    "SELECT did, txid, dirtySinceMs, failures, 0 FROM actor"
    " WHERE urgent = 0 AND turn IS NOT NULL ORDER BY turn DESC LIMIT ?"
)
_HASTEN: Final = "UPDATE actor SET turn = ?1 WHERE urgent = 1 AND turn > ?1"
_SETTLE: Final = (
    "UPDATE actor SET uncompacted = uncompacted + max(0, ?3 - txid), txid = ?3, syncedAtMs = ?4,"
    " signature = ?5, dirtySinceMs = ?6, urgent = 1, turn = ?7, failures = 0, lastError = NULL,"
    " deletedAtMs = NULL WHERE shard = ?1 AND did = ?2"
)
_FAIL: Final = (
    "UPDATE actor SET dirtySinceMs = coalesce(dirtySinceMs, ?3), urgent = 1, turn = ?4,"
    " failures = failures + 1, lastError = ?5 WHERE shard = ?1 AND did = ?2"
)
_DELETE: Final = (
    "UPDATE actor SET dirtySinceMs = NULL, turn = NULL, signature = NULL, failures = 0,"
    " lastError = NULL, deletedAtMs = coalesce(deletedAtMs, ?) WHERE shard = ? AND did = ?"
)
_SET_CLOSED: Final = (
    "UPDATE actor SET signature = ?3, uncompacted = uncompacted + max(0, ?4 - txid),"
    " txid = max(txid, ?4) WHERE shard = ?1 AND did = ?2 AND dirtySinceMs IS NULL"
)
_HAS_DUE: Final = "SELECT 1 FROM actor WHERE urgent = 1 AND turn <= ? LIMIT 1"
_SIGNATURE_OF: Final = (
    "SELECT signature FROM actor WHERE shard = ? AND did = ? AND dirtySinceMs IS NULL"
)
_IN_SHARD: Final = (
    "SELECT did, signature, dirtySinceMs IS NOT NULL, deletedAtMs IS NOT NULL FROM actor"
    " WHERE shard = ?"
)
_COUNTS: Final = (
    "SELECT (SELECT count(*) FROM actor),"
    " (SELECT count(*) FROM actor WHERE dirtySinceMs IS NOT NULL),"
    " (SELECT count(*) FROM actor WHERE failures > 0),"
    " (SELECT count(*) FROM actor WHERE deletedAtMs IS NOT NULL),"
    " (SELECT min(dirtySinceMs) FROM actor WHERE dirtySinceMs IS NOT NULL)"
)
_FAILING: Final = (
    "SELECT did, lastError FROM actor WHERE failures > 0 ORDER BY failures DESC LIMIT ?"
)
_UNCOMPACTED: Final = (
    "SELECT did, uncompacted FROM actor WHERE uncompacted >= ? AND uncompacted > 0"
    " AND deletedAtMs IS NULL ORDER BY uncompacted DESC LIMIT ?"
)
_COMPACT_DUE: Final = (
    "SELECT did, uncompacted FROM actor WHERE compactAtMs <= ? AND deletedAtMs IS NULL"
    " ORDER BY compactAtMs LIMIT ?"
)
_COMPACTED: Final = "UPDATE actor SET uncompacted = 0, compactAtMs = ? WHERE shard = ? AND did = ?"
_SYNCED_SINCE: Final = (
    "SELECT did FROM actor WHERE syncedAtMs >= ? AND deletedAtMs IS NULL ORDER BY syncedAtMs"
)
_RESET: Final = (
    "UPDATE actor SET txid = 0, syncedAtMs = NULL, signature = NULL, urgent = 0, turn = ?1,"
    " dirtySinceMs = ?1, failures = 0, lastError = NULL, uncompacted = 0, compactAtMs = NULL"
    " WHERE deletedAtMs IS NULL"
)
_FORGET_DELETED: Final = "DELETE FROM actor WHERE deletedAtMs IS NOT NULL"
_DELETED_BEFORE: Final = "SELECT did FROM actor WHERE deletedAtMs <= ? ORDER BY deletedAtMs LIMIT ?"
_FORGET: Final = "DELETE FROM actor WHERE shard = ? AND did = ?"


def shard_of(did: str) -> int:
    """Return which of the 256 directories of `actors/` an actor lies in."""
    return hashlib.sha256(did.encode()).digest()[0]


class ActorRows:
    """The table `actor`."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._counts: ActorCounts | None = None
        self._counted_at = 0
        """How many changes this connection had made to rows then."""

    def mark(self, marks: Iterable[Mark]) -> None:
        """Mark actors dirty. One that is dirty keeps its time and its turn."""
        self._db.many(
            _MARK, [(shard_of(mark.did), mark.did, mark.since_ms, mark.turn_ms) for mark in marks]
        )

    def add(self, found: Iterable[tuple[str, int]], *, now_ms: int) -> None:
        """Add actors that were never looked at before, each with when its files changed (ms)."""
        self._db.many(_ADD, [(shard_of(did), did, now_ms, changed) for did, changed in found])

    def due(self, now_ms: int, *, limit: int) -> list[DirtyActor]:
        """Return dirty actors in the order in which they are to be synced."""
        rows = self._db.all(_DUE, (now_ms, limit))
        if len(rows) < limit:
            rows += self._db.all(_NEVER_SYNCED, (limit - len(rows),))
        return [DirtyActor(*row) for row in rows]

    def hasten(self, now_ms: int) -> None:
        """Let everything that waits for a later time take its turn now."""
        self._db.run(_HASTEN, (now_ms,))

    def settle(self, settled: Iterable[Settled]) -> None:
        """Note what has reached the replica."""
        self._db.many(
            _SETTLE,
            [
                (
                    *(shard_of(each.did), each.did, each.txid, each.at_ms, each.signature),
                    *(each.again_ms, None if each.again_ms is None else each.turn_ms),
                )
                for each in settled
            ],
        )

    def fail(self, failed: Iterable[Failed]) -> None:
        """Note why actors were not synced, and when to try again."""
        self._db.many(
            _FAIL,
            [
                (shard_of(each.did), each.did, each.at_ms, each.retry_ms, each.error[:_MAX_ERROR])
                for each in failed
            ],
        )

    def mark_deleted(self, dids: Iterable[str], *, now_ms: int) -> None:
        """Note that actors are gone; an earlier time is kept."""
        self._db.many(_DELETE, [(now_ms, shard_of(did), did) for did in dids])

    def set_closed(self, did: str, *, txid: int, signature: int | None) -> None:
        """Note the files of which everything has reached the replica, unless it is dirty."""
        self._db.run(_SET_CLOSED, (shard_of(did), did, signature, txid))

    def synced_since(self, since_ms: int) -> list[str]:
        """Return the actors that were synced since a moment ago."""
        return [did for (did,) in self._db.all(_SYNCED_SINCE, (since_ms,))]

    def has_due(self, now_ms: int) -> bool:
        """Whether an urgent actor's turn has come."""
        return self._db.value(_HAS_DUE, (now_ms,)) is not None

    def signature_of(self, did: str) -> int | None:
        """Return the signature of an actor that is clean."""
        signature: int | None = self._db.value(_SIGNATURE_OF, (shard_of(did), did))
        return signature

    def in_shard(self, shard: int) -> dict[str, SweptRow]:
        """Return what a sweep compares, by DID."""
        return {
            did: SweptRow(signature, bool(dirty), bool(deleted))
            for did, signature, dirty, deleted in self._db.all(_IN_SHARD, (shard,))
        }

    def counts(self) -> ActorCounts:
        """Return figures over all actors."""
        # Nobody else writes these rows. All of them are counted, each second: 5 ms for 200,000.
        changes = self._db.connection.total_changes()
        if self._counts is None or changes != self._counted_at:
            row = self._db.one(_COUNTS)
            assert row is not None  # noqa: S101 (a row of counts)
            self._counts, self._counted_at = ActorCounts(*row), changes
        return self._counts

    def failing(self, *, limit: int) -> list[tuple[str, str]]:
        """Return some actors whose last sync failed, each with the error."""
        return [(did, error or "") for did, error in self._db.all(_FAILING, (limit,))]

    def to_compact(self, now_ms: int, *, at_least: int, limit: int) -> list[tuple[str, int]]:
        """Return actors that have many files, or whose time has come, and how many files."""
        rows = self._db.all(_UNCOMPACTED, (at_least, limit))
        rows += self._db.all(_COMPACT_DUE, (now_ms, limit))
        return list(dict(rows).items())

    def set_compacted(self, did: str, *, next_ms: int | None) -> None:
        """Note that an actor was compacted, and when that is due again even without a change."""
        self._db.run(_COMPACTED, (next_ms, shard_of(did), did))

    def reset(self, now_ms: int) -> None:
        """Take all actors as never synced, for another replica than before."""
        self._db.run(_FORGET_DELETED)
        self._db.run(_RESET, (now_ms,))

    def deleted_before(self, ms: int, *, limit: int) -> list[str]:
        """Return the DIDs of actors that went before a time, the first ones first."""
        return [did for (did,) in self._db.all(_DELETED_BEFORE, (ms, limit))]

    def forget(self, dids: Iterable[str]) -> None:
        """Remove actors of which the replica has nothing any more."""
        self._db.many(_FORGET, [(shard_of(did), did) for did in dids])
