"""The event log: whether every event can be sent, and the last server stopped cleanly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from database.connection import Database
from database.errors import DatabaseError
from pds.disk.remedies import restore_database
from pds.doctor.database import check_database, damage, missing_file
from pds.doctor.finding import Finding
from pds.doctor.inspection import examine_unchanged
from pds.reporting import Sample, counted
from repo import dagcbor
from sequencer.frames import EVENT_TYPES
from sequencer.log import MIGRATIONS
from sequencer.told import find_all_told, find_told

CHECK: Final = "event log"
_EVENTS: Final = (
    "SELECT seq, did, eventType, event, invalidated, sequencedAt FROM repo_seq ORDER BY seq"
)
_LAST_REV_OF: Final = (
    "SELECT event FROM repo_seq WHERE did = ? AND +eventType IN ('append', 'sync')"
    " AND invalidated = 0 ORDER BY seq DESC LIMIT 1"
)
_DID_FIELD: Final = {"append": "repo", "sync": "did", "identity": "did", "account": "did"}
_REVS: Final = ("append", "sync")
_STEP: Final = 256
"""Events between two reports of progress."""


@dataclass(slots=True, frozen=True)
class RunFlag:
    """The row of `holdfast_run`."""

    running: bool
    latest_seq: int


@dataclass(slots=True, frozen=True)
class EventLogState:
    """The contents of the log. `is_readable` is False if none can be trusted."""

    is_readable: bool
    findings: tuple[Finding, ...]
    events: int = 0
    latest_seq: int = 0
    flag: RunFlag | None = None
    """None if Holdfast has not used this log yet."""
    revs: dict[str, str] = field(default_factory=dict)
    """The rev of each DID's newest commit or sync: its state as consumers know it."""

    @property
    def is_unclean(self) -> bool:
        """Whether a server that starts now will recover unfinished work of the last run."""
        return self.flag != RunFlag(running=False, latest_seq=self.latest_seq)


def read_event_log(path: Path, on_progress: Callable[[int, int], None]) -> EventLogState:
    """Check and read the log; `on_progress` receives the number of events read and the total."""
    if not path.exists():
        return EventLogState(False, (missing_file(path, "events start again from 1"),))
    try:
        return examine_unchanged(path, lambda db: _read(db, on_progress))
    except DatabaseError as exc:
        return EventLogState(False, (damage(exc),))


def find_last_rev(db: Database, did: str) -> str | None:
    """Return the rev of the newest commit or sync of `did`, if readable."""
    body = db.value(_LAST_REV_OF, (did,))
    if body is None:
        return find_told(db, did).rev
    try:
        event = dagcbor.decode_trusted(body)
    except dagcbor.InvalidDagCbor:
        return None
    rev = event.get("rev") if isinstance(event, dict) else None
    return rev if isinstance(rev, str) else None


def _read(db: Database, on_progress: Callable[[int, int], None]) -> EventLogState:
    faults = check_database(db, MIGRATIONS)
    if faults:
        return EventLogState(False, tuple(faults))
    total = int(db.value("SELECT count(*) FROM repo_seq"))
    before = find_all_told(db).items()
    revs = {did: told.rev for did, told in before if told.rev is not None}
    unreadable = Sample()
    count = newest = 0
    for seq, did, event_type, body, invalidated, time in db.iter(_EVENTS):
        count += 1
        newest = seq
        try:
            rev = _check_event(did, event_type, body, time)
        except ValueError as exc:
            # Invalidated events are not sent, so they need not be readable.
            if not invalidated:
                unreadable.add(f"{seq} of {did} ({exc})")
        else:
            if rev is not None and not invalidated:
                revs[did] = rev
        if count % _STEP == 0 or count == total:
            on_progress(count, total)
    latest = int(db.value("SELECT seq FROM sqlite_sequence WHERE name = 'repo_seq'") or 0)
    findings = [
        *([_unreadable(db, unreadable)] if unreadable else []),
        *_check_numbers(db, newest, latest),
    ]
    return EventLogState(True, tuple(findings), count, latest, _read_flag(db), revs)


def _check_event(did: str, event_type: str, body: bytes, time: str) -> str | None:
    """Return the rev of an event, or None if its type has none. Raises `ValueError`."""
    if event_type not in EVENT_TYPES:
        return None  # From an old version of the reference; it is never sent.
    event = dagcbor.decode(body)
    if not isinstance(event, dict):
        raise ValueError("not a map")
    if event.get(_DID_FIELD[event_type]) != did:
        raise ValueError("about another DID")
    datetime.fromisoformat(time)
    if event_type not in _REVS:
        return None
    rev = event.get("rev")
    if not isinstance(rev, str):
        raise ValueError("no rev")
    return rev


def _read_flag(db: Database) -> RunFlag | None:
    if not db.connection.table_exists("main", "holdfast_run"):
        return None
    row = db.one("SELECT running, latestSeq FROM holdfast_run WHERE id = 1")
    return None if row is None else RunFlag(bool(row[0]), int(row[1]))


def _unreadable(db: Database, sample: Sample) -> Finding:
    message = f"{counted(sample.count, 'event')} cannot be read: {sample}"
    return Finding.error(CHECK, db.path, message, restore_database(db.path))


def _check_numbers(db: Database, newest: int, latest: int) -> list[Finding]:
    if newest <= latest:
        return []
    return [
        Finding.error(
            CHECK,
            db.path,
            f"has event {newest}, but counts only to {latest}: consumers that have seen more are "
            "turned away",
            restore_database(db.path),
        )
    ]
