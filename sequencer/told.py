"""What deleted events had told of each DID, in tables of our own beside the event log.

Retention deletes the oldest rows of the log (`sequencer.retention`). Recovery compares every store
with the last rev, state and handle that consumers know, however long ago they were told; so these
are kept when their events go, and count as long as no newer event tells otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from database.connection import Database
from repo import dagcbor

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS holdfast_retention (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  deletedSeq INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS holdfast_told (
  did TEXT PRIMARY KEY,
  rev TEXT,
  handle TEXT,
  active INTEGER,
  status TEXT
) STRICT, WITHOUT ROWID
"""
_SAVE_SEQ: Final = "INSERT OR REPLACE INTO holdfast_retention (id, deletedSeq) VALUES (1, ?)"
_COLUMNS: Final = "SELECT rev, handle, active, status, did FROM holdfast_told"
_SAVE: Final = """
INSERT INTO holdfast_told (did, rev, handle, active, status) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (did) DO UPDATE SET
  rev = coalesce(excluded.rev, rev),
  handle = coalesce(excluded.handle, handle),
  status = iif(excluded.active IS NULL, status, excluded.status),
  active = coalesce(excluded.active, active)
"""
_FORGET: Final = "DELETE FROM holdfast_told WHERE did = ?"


@dataclass(frozen=True, slots=True)
class ToldState:
    """The state in an account event: whether the account is active, and if not, why."""

    active: bool
    status: str | None = None


DELETED: Final = ToldState(active=False, status="deleted")


@dataclass(slots=True)
class Told:
    """What events have told of one DID; None for what they have not."""

    rev: str | None = None
    handle: str | None = None
    state: ToldState | None = None
    is_all: bool = False
    """Whether nothing that was told before counts: the account was deleted meanwhile."""


def collect(events: Iterable[tuple[str, str, bytes]]) -> dict[str, Told]:
    """Return what events tell, by DID. They are in order: DID, type and body of each."""
    told: dict[str, Told] = {}
    for did, event_type, body in events:
        known = told.setdefault(did, Told())
        if event_type in ("append", "sync"):
            known.rev = text_in(body, "rev") or known.rev
        elif event_type == "identity":
            known.handle = text_in(body, "handle") or known.handle
        elif event_type == "account":
            known.state = state_in(body)
            if known.state == DELETED:
                told[did] = Told(state=DELETED, is_all=True)
    return told


def save(db: Database, told: dict[str, Told], *, deleted_seq: int) -> None:
    """Keep what events up to `deleted_seq` have told, in the transaction that deletes them."""
    db.many(_FORGET, [(did,) for did, known in told.items() if known.is_all])
    db.many(_SAVE, [(did, *_columns(known)) for did, known in told.items()])
    db.run(_SAVE_SEQ, (deleted_seq,))


def forget(db: Database, did: str) -> None:
    """Delete what was told of a deleted account, except that it was deleted."""
    if _are_there(db):
        db.run(f"{_FORGET} AND status IS NOT 'deleted'", (did,))
        db.run("UPDATE holdfast_told SET rev = NULL, handle = NULL WHERE did = ?", (did,))


def find_told(db: Database, did: str) -> Told:
    """Return what deleted events had told of `did`."""
    row = db.one(f"{_COLUMNS} WHERE did = ?", (did,)) if _are_there(db) else None
    return Told() if row is None else _told_of(row)


def find_all_told(db: Database) -> dict[str, Told]:
    """Return `find_told` of every DID of which deleted events had told anything."""
    return {row[4]: _told_of(row) for row in db.iter(_COLUMNS)} if _are_there(db) else {}


def find_deleted_seq(db: Database) -> int:
    """Return the seq up to which retention has deleted all events; 0 for none."""
    if not _are_there(db):
        return 0
    return int(db.value("SELECT deletedSeq FROM holdfast_retention") or 0)


def state_in(body: bytes) -> ToldState:
    """Return the state that the body of an account event has."""
    return ToldState(_decoded(body).get("active") is True, text_in(body, "status"))


def text_in(body: bytes, name: str) -> str | None:
    """Return a text from the body of an event."""
    value = _decoded(body).get(name)
    return value if isinstance(value, str) else None


def _decoded(body: bytes) -> dict[str, dagcbor.Value]:
    """Decode the body of an event; a damaged one, which no consumer could read, is empty."""
    try:
        event = dagcbor.decode_trusted(body)
    except dagcbor.InvalidDagCbor:
        return {}
    return event if isinstance(event, dict) else {}


def _are_there(db: Database) -> bool:
    """Whether the log has the tables: not if only the reference PDS has used it."""
    return db.connection.table_exists("main", "holdfast_retention")


def _columns(told: Told) -> tuple[str | None, str | None, int | None, str | None]:
    state = told.state
    return (
        told.rev,
        told.handle,
        None if state is None else int(state.active),
        None if state is None else state.status,
    )


def _told_of(row: tuple[Any, ...]) -> Told:
    rev, handle, active, status = row[:4]
    return Told(rev, handle, None if active is None else ToldState(bool(active), status))
