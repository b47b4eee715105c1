"""One CAR file into an actor's database: every check but that of the signature.

Runs in a process of its own: hashing, decoding and SQLite keep a core busy each.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from actor_store.blocks import CountedNodeCache
from actor_store.importing import import_car
from actor_store.schema import migrate_store
from actor_store.transactor import ActorStoreTransactor, Signing
from database.connection import Database, open_database
from database.errors import DatabaseError
from repo.car import CarReader, InvalidCar
from repo.commit import Commit
from repo.keys import K256PrivateKey
from repo.syntax import Did
from repo.tid import TidClock
from repo.verify import InvalidRepo, find_commit

_CACHE_KIB: Final = 64 * 1024
_NODE_CACHE_BYTES: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class LoadedCar:
    """A file that was sound, and is in a database now. Its signature has not been looked at."""

    did: Did
    cid: str
    commit: Commit
    records: int


@dataclass(frozen=True, slots=True)
class BadCar:
    """A file that was refused; `reason` names the byte or the CID."""

    reason: str


def load_car(path: Path, store: Path) -> LoadedCar | BadCar:
    """Load `path` into a new database `store`; one of a file that is refused is to be deleted."""
    try:
        with path.open("rb") as file:
            commit = find_commit(CarReader(file, verify=False))
        with path.open("rb") as file, _new_store(store) as db, db.transaction():
            actor = _actor(commit.did, db)
            # The key that signed it is looked for when all else is sound.
            imported = import_car(actor, file, keys=None, rev=commit.rev)
            return LoadedCar(Did(commit.did), str(imported.head.cid), commit, imported.records)
    except (InvalidCar, InvalidRepo) as exc:
        return BadCar(str(exc))
    except (DatabaseError, OSError) as exc:
        return BadCar(f"it cannot be read or loaded: {exc}")


@contextmanager
def _new_store(path: Path) -> Iterator[Database]:
    # A process that ended may have left a part of one.
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    db = open_database(path, cache_kib=_CACHE_KIB)
    try:
        # Of a process that is ended here the file is made anew.
        db.connection.pragma("synchronous", "OFF")
        migrate_store(db)
        yield db
    finally:
        db.close()


def _actor(did: str, db: Database) -> ActorStoreTransactor:
    """The actor with an empty repository, signed with a key that is thrown away."""
    key = K256PrivateKey.generate()
    signing = Signing(TidClock(lambda: time.time_ns() // 1000, 0), lambda _: key)
    actor = ActorStoreTransactor(did, db, CountedNodeCache(_NODE_CACHE_BYTES), signing)
    actor.create_repo()
    return actor
