"""Loading one CAR file into an actor's database: every check except the signature.

Runs in a process of its own: hashing, decoding and SQLite keep a core busy each.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from actor_store.blocks import CountedNodeCache
from actor_store.bulk_rows import BLOCK_INDEX, UNORDERED_INDEXES
from actor_store.importing import import_car
from actor_store.quota import no_quota
from actor_store.records import OddRecords
from actor_store.schema import migrate_store
from actor_store.transactor import ActorStoreTransactor, Signing
from database.connection import Database
from database.errors import DatabaseError
from database.opening import open_database
from database.wal import files_of
from pds.web.browse.profile_name import find_name
from repo.car import CarReader, InvalidCar
from repo.commit import Commit, decode_commit
from repo.keys import K256PrivateKey
from repo.syntax import Did
from repo.tid import TidClock
from repo.verify import InvalidRepo, find_commit

_CACHE_KIB: Final = 24 * 1024
_NODE_CACHE_BYTES: Final = 4 * 1024 * 1024
_REPORT: Final = "-read"
_LARGE_BYTES: Final = 8 * 1024 * 1024
_HUGE_BYTES: Final = 64 * 1024 * 1024
"""Sizes of files from which it pays to build one index, or all, at the end."""
_REPORTED_BYTES: Final = 1_000_000
"""A smaller file is read before anyone looks."""


@dataclass(frozen=True, slots=True)
class LoadedCar:
    """A sound file, now in a database. Its signature has not been verified."""

    did: Did
    cid: str
    commit: Commit
    block: bytes
    """The block of the commit."""
    records: int
    name: str | None
    """The display name of the account."""
    odd: OddRecords


@dataclass(frozen=True, slots=True)
class BadCar:
    """A file that was refused."""

    reason: str
    """For everyone: names the byte or the CID, but no path of this machine."""
    details: str | None = None
    """More for the operator, if there is more to say."""


def load_car(path: Path, store: Path) -> LoadedCar | BadCar:
    """Load `path` into a new database `store`; the caller deletes it if the file is refused.

    `read_bytes_of` shows another process how far the load is.
    """
    try:
        with path.open("rb") as file:
            _, commit = find_commit(CarReader(file, verify=False))
        with path.open("rb") as file, _new_store(store) as db, db.transaction():
            actor = _actor(commit.did, db)
            # The signing key is looked up later, if all else is sound.
            imported = import_car(
                actor,
                file,
                keys=None,
                rev=commit.rev,
                on_batch=_Report(file, store),
                postponed=_postponed(os.fstat(file.fileno()).st_size),
            )
            root, block = imported.head.cid, actor.repo.get_block(imported.head.cid)
            name = find_name(actor)
            if decode_commit(block) != commit:
                return BadCar(f"the file has changed while it was read: its root is {root} now")
        return LoadedCar(
            Did(commit.did), str(root), commit, block, imported.records, name, imported.odd
        )
    except (InvalidCar, InvalidRepo) as exc:
        return BadCar(str(exc))
    except (DatabaseError, OSError) as exc:
        return BadCar(f"it cannot be read or loaded: {public_reason(exc)}", details=str(exc))


def _postponed(size_bytes: int) -> tuple[str, ...]:
    """Return the indexes to build at the end; the others grow while waiting for something else."""
    if size_bytes < _LARGE_BYTES:
        return ()
    return (BLOCK_INDEX,) if size_bytes < _HUGE_BYTES else UNORDERED_INDEXES


def read_bytes_of(store: Path) -> int:
    """Return roughly how many bytes of its file have been read for the database `store`."""
    try:
        return int(_report_of(store).read_bytes() or 0)
    except FileNotFoundError:
        return 0


def remove_store(store: Path) -> None:
    """Delete a database, or what exists of it."""
    for file in (*files_of(store), _report_of(store)):
        file.unlink(missing_ok=True)


def public_reason(exc: Exception) -> str:
    """Return the reason of a failure for strangers, without the paths that errors name."""
    if isinstance(exc, DatabaseError):
        return f"{exc.reason} ({exc.hint})" if exc.hint else exc.reason
    if isinstance(exc, OSError) and exc.strerror:
        return f"[Errno {exc.errno}] {exc.strerror}"
    return type(exc).__name__


class _Report:
    """Records how far a file has been read, in a file next to the database."""

    def __init__(self, file: BinaryIO, store: Path) -> None:
        self._file = file
        self._path = _report_of(store)

    def __call__(self) -> None:
        read_bytes = self._file.tell()
        if read_bytes < _REPORTED_BYTES:
            return
        # Overwritten in place, so that no reader finds it empty.
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, b"%20d" % read_bytes)
        finally:
            os.close(descriptor)


def _report_of(store: Path) -> Path:
    return store.with_name(store.name + _REPORT)


@contextmanager
def _new_store(path: Path) -> Iterator[Database]:
    # An aborted process may have left a partial one.
    remove_store(path)
    db = open_database(path, cache_kib=_CACHE_KIB)
    try:
        # Failures are deleted, not rolled back. Finding pages in a WAL of gigabytes is slow.
        db.run("PRAGMA journal_mode = OFF")
        db.run("PRAGMA synchronous = OFF")
        migrate_store(db)
        yield db
        db.run("PRAGMA synchronous = NORMAL")
        db.run("PRAGMA journal_mode = WAL")
    finally:
        db.close()


def _actor(did: str, db: Database) -> ActorStoreTransactor:
    """Return the actor with an empty repository, signed with a key that is thrown away."""
    key = K256PrivateKey.generate()
    signing = Signing(TidClock(lambda: time.time_ns() // 1000, 0), lambda _: key)
    actor = ActorStoreTransactor(did, db, CountedNodeCache(_NODE_CACHE_BYTES), signing, no_quota)
    actor.create_repo()
    return actor
