"""One CAR file into an actor's database: every check but that of the signature.

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
from database.connection import Database, open_database
from database.errors import DatabaseError
from database.wal import files_of
from pds.readonly.profile_name import find_name
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
"""Of files for which it pays to build one index at the end, and all."""
_REPORTED_BYTES: Final = 1_000_000
"""Less is read before anybody looks."""


@dataclass(frozen=True, slots=True)
class LoadedCar:
    """A file that was sound, and is in a database now. Its signature has not been looked at."""

    did: Did
    cid: str
    commit: Commit
    block: bytes
    """That of the commit."""
    records: int
    name: str | None
    """What the account calls itself."""
    odd: OddRecords


@dataclass(frozen=True, slots=True)
class BadCar:
    """A file that was refused."""

    reason: str
    """For everybody: names the byte or the CID, and no path of this machine."""
    details: str | None = None
    """For the operator, if there is more to say."""


def load_car(path: Path, store: Path) -> LoadedCar | BadCar:
    """Load `path` into a new database `store`; one of a file that is refused is to be deleted.

    `read_bytes_of` tells another process how far this has come.
    """
    try:
        with path.open("rb") as file:
            _, commit = find_commit(CarReader(file, verify=False))
        with path.open("rb") as file, _new_store(store) as db, db.transaction():
            actor = _actor(commit.did, db)
            # The key that signed it is looked for when all else is sound.
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
    """The indexes that are built at the end; the others grow while something else is waited for."""
    if size_bytes < _LARGE_BYTES:
        return ()
    return (BLOCK_INDEX,) if size_bytes < _HUGE_BYTES else UNORDERED_INDEXES


def read_bytes_of(store: Path) -> int:
    """How many bytes of its file have been read for the database `store`, roughly."""
    try:
        return int(_report_of(store).read_bytes() or 0)
    except FileNotFoundError:
        return 0


def remove_store(store: Path) -> None:
    """Delete a database, or what there is of it."""
    for file in (*files_of(store), _report_of(store)):
        file.unlink(missing_ok=True)


def public_reason(exc: Exception) -> str:
    """What failed, for strangers: without the paths of this machine that errors name."""
    if isinstance(exc, DatabaseError):
        return f"{exc.reason} ({exc.hint})" if exc.hint else exc.reason
    if isinstance(exc, OSError) and exc.strerror:
        return f"[Errno {exc.errno}] {exc.strerror}"
    return type(exc).__name__


class _Report:
    """Notes how far a file has been read, in a file beside the database."""

    def __init__(self, file: BinaryIO, store: Path) -> None:
        self._file = file
        self._path = _report_of(store)

    def __call__(self) -> None:
        read_bytes = self._file.tell()
        if read_bytes < _REPORTED_BYTES:
            return
        # Written over in place, so that nobody finds it empty in between.
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, b"%20d" % read_bytes)
        finally:
            os.close(descriptor)


def _report_of(store: Path) -> Path:
    return store.with_name(store.name + _REPORT)


@contextmanager
def _new_store(path: Path) -> Iterator[Database]:
    # A process that ended may have left a part of one.
    remove_store(path)
    db = open_database(path, cache_kib=_CACHE_KIB)
    try:
        # What goes wrong is deleted, not rolled back. A WAL of gigabytes is slow to find pages in.
        db.run("PRAGMA journal_mode = OFF")
        db.run("PRAGMA synchronous = OFF")
        migrate_store(db)
        yield db
        db.run("PRAGMA synchronous = NORMAL")
        db.run("PRAGMA journal_mode = WAL")
    finally:
        db.close()


def _actor(did: str, db: Database) -> ActorStoreTransactor:
    """The actor with an empty repository, signed with a key that is thrown away."""
    key = K256PrivateKey.generate()
    signing = Signing(TidClock(lambda: time.time_ns() // 1000, 0), lambda _: key)
    actor = ActorStoreTransactor(did, db, CountedNodeCache(_NODE_CACHE_BYTES), signing, no_quota)
    actor.create_repo()
    return actor
