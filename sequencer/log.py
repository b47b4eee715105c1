"""The event log: the rows of `repo_seq`. Synchronous; a call runs one or two short statements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from database.connection import Database
from database.migrations import Migration, migrate
from database.timestamps import epoch_ms_of
from repo import dagcbor
from sequencer.events import EventType
from sequencer.frames import EncodedEvent
from sequencer.told import (
    Told,
    ToldState,
    find_all_told,
    find_deleted_seq,
    find_told,
    forget,
    save,
    state_in,
    text_in,
)

PAGE_BYTES: Final = 64 << 10
"""Total body size at which a page ends early, so that reading a page is always quick."""

MIGRATIONS: Final = (Migration("001", Path(__file__).with_name("schema.sql").read_text()),)

_INSERT: Final = "INSERT INTO repo_seq (did, eventType, event, sequencedAt) VALUES (?, ?, ?, ?)"
_READ_AFTER: Final = (
    "SELECT seq, did, eventType, event, sequencedAt FROM repo_seq"
    " WHERE seq > ? AND invalidated = 0 ORDER BY seq LIMIT ?"
)
# Ordered by time first, so that the index on sequencedAt answers without a scan.
_EARLIEST_AFTER: Final = (
    "SELECT seq FROM repo_seq WHERE sequencedAt >= ? AND invalidated = 0"
    " ORDER BY sequencedAt, seq LIMIT 1"
)
# The unary plus keeps SQLite from choosing the index of event types.
_LAST_REV_OF: Final = (
    "SELECT seq, eventType, event FROM repo_seq"
    " WHERE did = ? AND +eventType IN ('append', 'sync') AND invalidated = 0"
    " ORDER BY seq DESC LIMIT 1"
)
# The unary plus keeps SQLite from choosing the index of event types.
_LAST_OF: Final = (
    "SELECT seq, event FROM repo_seq WHERE did = ? AND +eventType = ? AND invalidated = 0"
    " ORDER BY seq DESC LIMIT 1"
)
_LAST_OF_EACH: Final = (
    "SELECT did, event FROM repo_seq WHERE seq IN ("
    "SELECT max(seq) FROM repo_seq WHERE eventType = ? AND invalidated = 0 GROUP BY did)"
)
_ALL_OF: Final = (
    "SELECT event FROM repo_seq WHERE did = ? AND +eventType = ? AND invalidated = 0"
    " ORDER BY seq DESC"
)
_NEWEST_TIME: Final = (
    "SELECT sequencedAt FROM repo_seq WHERE invalidated = 0 ORDER BY seq DESC LIMIT 1"
)
_REPOS_SINCE: Final = (
    "SELECT DISTINCT did FROM repo_seq"
    " WHERE seq >= ? AND eventType IN ('append', 'sync') AND invalidated = 0"
)
_COUNT_UP_TO: Final = "SELECT count(*) FROM repo_seq WHERE seq <= ?"
_DELETE_UP_TO: Final = "DELETE FROM repo_seq WHERE seq <= ?"
_INVALIDATE: Final = "UPDATE repo_seq SET invalidated = 1 WHERE seq = ?"
_DELETE_SOME: Final = (
    "DELETE FROM repo_seq WHERE seq IN"
    " (SELECT seq FROM repo_seq WHERE did = ? AND seq <> ? LIMIT ?)"
)


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One row of `repo_seq`. `body` is DAG-CBOR without `seq` and `time`."""

    seq: int
    did: str
    event_type: str
    body: bytes
    sequenced_at: str
    """ISO 8601, UTC, milliseconds."""


@dataclass(frozen=True, slots=True)
class LastEvent:
    """The newest event of a DID that has a rev: a commit or a sync."""

    seq: int
    event_type: str
    rev: str


@dataclass(frozen=True, slots=True)
class OldEvents:
    """The oldest events of the log, to be deleted."""

    last_seq: int
    count: int
    told: dict[str, Told]
    """What they have told of each DID."""


class EventLog:
    """Rows of `repo_seq` in one database. Raises `DatabaseError`s."""

    def __init__(self, db: Database) -> None:
        """Create or check the schema. Raises `SchemaTooNew`."""
        migrate(db, MIGRATIONS)
        self._db = db

    def insert(self, events: Sequence[EncodedEvent], time: str) -> int:
        """Store `events` (at least one) in one transaction; return the seq of the first.

        The others follow it without a gap.
        """
        rows = [(event.did, event.event_type, event.body(), time) for event in events]
        with self._db.transaction():
            self._db.many(_INSERT, rows)
            last = self._db.connection.last_insert_rowid()
        return last - len(rows) + 1

    def latest_seq(self) -> int:
        """Return the highest seq ever assigned, 0 for a new log; its row may have been deleted."""
        return int(self._db.value("SELECT seq FROM sqlite_sequence WHERE name = 'repo_seq'") or 0)

    def skip_to(self, seq: int) -> int:
        """Advance the log so that the next event comes after `seq`. Return `latest_seq`.

        Does nothing if `seq` is not ahead of the log.
        """
        latest = self.latest_seq()
        if latest >= seq:
            return latest
        with self._db.transaction():
            self._db.run("DELETE FROM sqlite_sequence WHERE name = 'repo_seq'")
            self._db.run("INSERT INTO sqlite_sequence (name, seq) VALUES ('repo_seq', ?)", (seq,))
        return seq

    def read_after(self, cursor: int, limit: int) -> list[StoredEvent]:
        """Return the next events after `cursor`, at most `limit`, fewer if they are large.

        An empty list means that there are none.
        """
        # Leaving the loop early drops the iterator, which ends its read transaction.
        page = []
        room = PAGE_BYTES
        for row in self._db.iter(_READ_AFTER, (cursor, limit)):
            page.append(StoredEvent(*row))
            room -= len(row[3])
            if room <= 0:
                break
        return page

    def earliest_after(self, time: str) -> int | None:
        """Return the seq of the earliest event sequenced at `time` (ISO 8601) or later."""
        seq: int | None = self._db.value(_EARLIEST_AFTER, (time,))
        return seq

    def last_event_of(self, did: str) -> LastEvent | None:
        """Return the newest commit or sync of `did`, its state as consumers know it."""
        row = self._db.one(_LAST_REV_OF, (did,))
        if row is None:
            return None
        seq, event_type, body = row
        rev = text_in(body, "rev")
        if rev is None:
            raise dagcbor.InvalidDagCbor(f"event {seq} has no rev")
        return LastEvent(seq, event_type, rev)

    def last_rev_of(self, did: str) -> str | None:
        """Return the rev of `did` that consumers know; None if they know none.

        Raises `InvalidDagCbor` if they cannot read the event that has it.
        """
        last = self.last_event_of(did)
        return find_told(self._db, did).rev if last is None else last.rev

    def newest_time(self) -> str | None:
        """Return the time (ISO 8601) of the newest event; None for a log without events."""
        time: str | None = self._db.value(_NEWEST_TIME)
        return time

    def newest_time_ms(self) -> int:
        """Return `newest_time` in milliseconds since the Unix epoch; 0 if missing or unreadable."""
        try:
            return epoch_ms_of(self.newest_time() or "")
        except ValueError:
            return 0

    def repos_since(self, time: str) -> set[str]:
        """Return the DIDs that have had a commit or sync since `time` (ISO 8601)."""
        first = self.earliest_after(time)
        if first is None:
            return set()
        return {did for (did,) in self._db.all(_REPOS_SINCE, (first,))}

    def last_seq_of(self, did: str, event_type: EventType) -> int | None:
        """Return the seq of the newest event of `did` of this type."""
        row = self._db.one(_LAST_OF, (did, event_type))
        return None if row is None else int(row[0])

    def last_state_of(self, did: str) -> ToldState | None:
        """Return the account state of `did` as consumers know it; None if no event has one."""
        row = self._db.one(_LAST_OF, (did, "account"))
        return find_told(self._db, did).state if row is None else state_in(row[1])

    def all_states(self) -> dict[str, ToldState]:
        """Return `last_state_of` every DID that has one. Reads one row per account."""
        before = find_all_told(self._db).items()
        states = {did: told.state for did, told in before if told.state is not None}
        rows = self._db.all(_LAST_OF_EACH, ("account",))
        return states | {did: state_in(body) for did, body in rows}

    def all_handles(self) -> dict[str, str | None]:
        """Return each DID's handle from its newest identity event that names one.

        None for a DID without such an event.
        """
        handles = {did: told.handle for did, told in find_all_told(self._db).items()}
        for did, body in self._db.all(_LAST_OF_EACH, ("identity",)):
            told = text_in(body, "handle") or self._last_handle_of(did)
            handles[did] = told or handles.get(did)
        return handles

    def _last_handle_of(self, did: str) -> str | None:
        # An identity event for a change other than the handle does not name it.
        bodies = (body for (body,) in self._db.iter(_ALL_OF, (did, "identity")))
        return next((handle for body in bodies if (handle := text_in(body, "handle"))), None)

    def deleted_seq(self) -> int:
        """Return the seq up to which retention has deleted all events; 0 for none."""
        return find_deleted_seq(self._db)

    def delete_oldest(self, old: OldEvents) -> int:
        """Delete the oldest events, in a transaction; return how many.

        Deletes none if others are the oldest now: an account was deleted meanwhile, and what was
        told of it must not be kept.
        """
        if self._db.value(_COUNT_UP_TO, (old.last_seq,)) != old.count:
            return 0
        self._db.run(_DELETE_UP_TO, (old.last_seq,))
        save(self._db, old.told, deleted_seq=old.last_seq)
        return old.count

    def invalidate(self, seqs: Sequence[int]) -> None:
        """Hide events, as if there had never been any."""
        with self._db.transaction():
            self._db.many(_INVALIDATE, [(seq,) for seq in seqs])

    def delete_some_of(self, did: str, *, keep_seq: int, limit: int) -> int:
        """Delete up to `limit` events of `did` except `keep_seq`; return how many were deleted."""
        forget(self._db, did)
        self._db.run(_DELETE_SOME, (did, keep_seq, limit))
        return self._db.changes
