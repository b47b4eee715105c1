"""Reading databases that have just been restored and that nobody else has open."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

import apsw

from database.connection import Database
from database.errors import DatabaseDamaged, DatabaseError, map_error
from sequencer.log import EventLog
from sequencer.told import DELETED

_FLAGS: Final = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
_BLOBS: Final = "SELECT cid, size, takedownRef IS NOT NULL FROM blob WHERE tempKey IS NULL"

# Rows that are not urgent are those that the replicator had yet to look at.
_PENDING: Final = (
    "SELECT did, dirtySinceMs FROM actor WHERE dirtySinceMs IS NOT NULL AND urgent = 1"
)


@dataclass(slots=True, frozen=True)
class StoreSummary:
    """What an account's database says of itself."""

    rev: str | None
    """That of the current commit; None without a repository."""
    blobs: int
    """Number of permanent blobs, quarantined ones included."""


@dataclass(slots=True, frozen=True)
class BlobRow:
    """A blob that an account's database has."""

    size: int
    is_takendown: bool


@contextmanager
def reading(path: Path) -> Iterator[Database]:
    """Open a database without a WAL for reading, so that no other file appears beside it.

    Raises `DatabaseError`s, also for text that is not UTF-8.
    """
    try:
        connection = apsw.Connection(
            f"file:{quote(str(path.absolute()))}?mode=ro&immutable=1", _FLAGS
        )
    except apsw.Error as exc:
        raise map_error(exc, path) from exc
    db = Database(connection, path)
    try:
        yield db
    except UnicodeDecodeError as exc:
        raise DatabaseDamaged(path, f"has text that is not UTF-8: {exc.reason}") from exc
    finally:
        db.close()


def summarize_store(path: Path) -> StoreSummary:
    """Return what an account's database says of itself. Raises `DatabaseError`s."""
    with reading(path) as db:
        rev = db.value("SELECT rev FROM repo_root LIMIT 1")
        blobs = db.value("SELECT count(*) FROM blob WHERE tempKey IS NULL")
        return StoreSummary(rev, int(blobs or 0))


def read_blobs(path: Path) -> dict[str, BlobRow]:
    """Return the permanent blobs of an account by CID. Raises `DatabaseError`s."""
    with reading(path) as db:
        return {cid: BlobRow(size, bool(down)) for cid, size, down in db.iter(_BLOBS)}


def read_dids(path: Path) -> set[str]:
    """Return the DIDs of all accounts in `account.sqlite`. Raises `DatabaseError`s."""
    with reading(path) as db:
        return {did for (did,) in db.iter("SELECT did FROM actor")}


def read_pending(path: Path) -> dict[str, int]:
    """Return the accounts in `replication.sqlite` that had changes to be replicated, with the times
    of the oldest ones in Unix milliseconds; none if it is unreadable."""
    try:
        with reading(path) as db:
            return dict(db.iter(_PENDING))
    except DatabaseError:
        return {}


def find_deleted(path: Path, did: str) -> bool:
    """Whether the event log has told that an account was deleted; False if it is unreadable."""
    try:
        with reading(path) as db:
            return EventLog(db).last_state_of(did) == DELETED
    except DatabaseError:
        return False
