"""A data directory with many accounts, made without requests, and writes spread over them.

`python -m benchmarks.many_accounts DIRECTORY --accounts N` makes one. The accounts are what a
sign-up and some posts leave, written by the same code in several processes, so `pds doctor` finds
nothing to blame; only the DIDs are made up, and no directory knows them.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import random
import time
from collections import OrderedDict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from stat import S_ISREG
from typing import Final

import click

from actor_store.blocks import CountedNodeCache
from actor_store.creation import create_directory
from actor_store.layout import ActorLayout
from actor_store.quota import no_quota
from actor_store.transactor import ActorStoreTransactor, Signing
from actor_store.writes import PreparedWrite
from benchmarks.seed import COLLECTION, post, rkeys_of
from database.connection import Database
from database.opening import open_database
from database.timestamps import iso_of
from identity.did_cache import DidCache
from pds.accounts.account_store import AccountStore
from pds.accounts.hashing import OPERATOR, PasswordHasher
from pds.accounts.repo_roots import RepoRoots
from pds.accounts.schema import open_account_database
from pds.lifecycle.signup import birth_events
from pds.repos.commits import commit_event
from repo import dagcbor
from repo.cid import Cid
from repo.commit import CommitData
from repo.keys import K256PrivateKey
from repo.syntax import Did
from repo.tid import TidClock
from sequencer.frames import EncodedEvent
from sequencer.log import EventLog
from sequencer.run_state import RunState

PASSWORD: Final = "correct-horse-battery"
"""Of every account."""
_CHUNK: Final = 250
"""Accounts that a process makes before it hands over their rows and events."""
_CREATED_S: Final = 1_760_000_000
"""When the first account signed up, in Unix seconds; the others follow a second apart. Their files
and events are as old, so that a start after a crash does not take them for the last writes."""
_OPEN: Final = 400
"""Stores that the writer has open, as a server has."""
_WRITE: Final = "INSERT INTO account_pref (name, valueJson) VALUES ('bench', ?)"
_EVENT: Final = (
    "INSERT INTO repo_seq (did, eventType, event, sequencedAt) VALUES (?, 'append', ?, ?)"
)
_EVENT_BODY: Final = os.urandom(2_000)


@dataclass(slots=True, frozen=True)
class Footprint:
    """What the files in a directory take."""

    files: int
    inodes: int
    """Files and directories."""
    size_bytes: int
    """The disk space that they occupy."""


@dataclass(slots=True, frozen=True)
class _Made:
    """What the service databases have to know about an actor."""

    did: Did
    head: CommitData
    events: tuple[EncodedEvent, ...]


def did_of(number: int) -> Did:
    """The DID of an account."""
    digest = hashlib.sha256(b"%d" % number).digest()
    return Did(f"did:plc:{base64.b32encode(digest[:15]).decode().lower()}")


def handle_of(number: int) -> str:
    """The handle of an account."""
    return f"user{number:07}.test"


def make_accounts(data: Path, accounts: int, *, posts: int = 3, processes: int = 2) -> None:
    """Fill a new data directory with accounts of so many posts."""
    (data / "actors").mkdir(parents=True)
    (data / "blobs").mkdir(exist_ok=True)
    DidCache.open(data / "did_cache.sqlite").close()
    rows = open_account_database(data / "account.sqlite")
    log_db = open_database(data / "sequencer.sqlite")
    log = EventLog(log_db)
    chunks = [range(first, min(first + _CHUNK, accounts)) for first in range(0, accounts, _CHUNK)]
    make = partial(_make_actors, ActorLayout(data / "actors"), posts)
    password_hash = asyncio.run(_hash_password())
    with ProcessPoolExecutor(processes) as pool:
        for numbers, made in zip(chunks, pool.map(make, chunks), strict=True):
            with rows.transaction():
                _add_rows(rows, numbers, made, password_hash)
            events = [event for actor in made for event in actor.events]
            log.insert(events, iso_of(_CREATED_S + numbers[-1]))
    asyncio.run(_stop_in_order(rows, log_db, log.latest_seq()))
    rows.close()
    log_db.close()


def measure_footprint(directory: Path) -> Footprint:
    """Count the files below a directory and the space that they take."""
    files = inodes = blocks = 0
    for path in directory.rglob("*"):
        found = path.lstat()
        files += S_ISREG(found.st_mode)
        inodes += 1
        blocks += found.st_blocks
    return Footprint(files, inodes, blocks * 512)


def _make_actors(layout: ActorLayout, posts: int, numbers: range) -> list[_Made]:
    clock = TidClock(lambda: time.time_ns() // 1_000, 1)
    made = []
    for number in numbers:
        made.append(_make_actor(layout, clock, did_of(number), handle_of(number), posts))
        at_s = _CREATED_S + number
        os.utime(layout.store(did_of(number)), (at_s, at_s))
    return made


def _make_actor(layout: ActorLayout, clock: TidClock, did: Did, handle: str, posts: int) -> _Made:
    key = K256PrivateKey.generate()
    signing = Signing(clock, lambda _: key)

    def fill(db: Database) -> list[CommitData]:
        actor = ActorStoreTransactor(did, db, CountedNodeCache(1 << 20), signing, no_quota)
        commits = [actor.create_repo(), actor.commit(_posts(posts))]
        return [commit for commit in commits if commit is not None]

    first, *others = create_directory(layout, did, key, fill)
    events = (*birth_events(handle, first), *map(commit_event, others))
    return _Made(did, (first, *others)[-1], tuple(event.encode() for event in events))


@cache
def _posts(count: int) -> list[PreparedWrite]:
    blocks = [dagcbor.encode(post(number)) for number in range(count)]
    return [
        PreparedWrite("create", COLLECTION, rkey, Cid.of_dag_cbor(block), block)
        for rkey, block in zip(rkeys_of(count), blocks, strict=True)
    ]


def _add_rows(db: Database, numbers: range, made: list[_Made], password_hash: str) -> None:
    store, roots = AccountStore(db), RepoRoots(db)
    for number, actor in zip(numbers, made, strict=True):
        store.add(
            actor.did,
            handle=handle_of(number),
            created_at=iso_of(_CREATED_S + number),
            deactivated_at=None,
            delete_after=None,
        )
        email = f"user{number}@example.com"
        store.add_login(actor.did, email=email, password_hash=password_hash)
        roots.add(actor.did, actor.head.cid, actor.head.rev)


async def _hash_password() -> str:
    hasher = PasswordHasher()
    async with hasher.turn(OPERATOR, about="benchmark") as hashing:
        stored = await hashing.hash(PASSWORD)
    hasher.close()
    return stored


async def _stop_in_order(rows: Database, log: Database, latest_seq: int) -> None:
    """Record a clean stop; without it, the first start would look for what a crash has left."""
    roots = RepoRoots(rows)
    roots.mark_complete()
    await roots.flush()
    run = RunState(log, latest_seq)
    run.mark_running(latest_seq)
    run.mark_stopped(latest_seq, now_ms=time.time_ns() // 1_000_000)


class Writer:
    """Writes to accounts at random, as a server does: first the store, then the log."""

    def __init__(self, data: Path, accounts: int) -> None:
        self._layout = ActorLayout(data / "actors")
        self._accounts = accounts
        self._log = open_database(data / "sequencer.sqlite", wal_autocheckpoint=None)
        self._stores: OrderedDict[str, Database] = OrderedDict()
        self._random = random.Random(7)
        self.written: list[tuple[str, float]] = []
        """The DID and time of each write, in Unix seconds."""

    def write(self, count: int) -> None:
        """Write to some accounts."""
        dids = [did_of(self._random.randrange(self._accounts)) for _ in range(count)]
        for did in dids:
            with (db := self._open(did)).transaction():
                db.run(_WRITE, (_EVENT_BODY.hex()[: self._random.randrange(100, 1_000)],))
            self.written.append((did, time.time()))
        with self._log.transaction():
            now = iso_of(time.time())
            self._log.many(_EVENT, [(did, _EVENT_BODY, now) for did in dids])

    def close(self) -> None:
        """Close all files."""
        for db in (*self._stores.values(), self._log):
            db.close()

    def _open(self, did: str) -> Database:
        db = self._stores.pop(did, None)
        if db is None:
            db = open_database(self._layout.store(did), wal_autocheckpoint=None, create=False)
        self._stores[did] = db
        if len(self._stores) > _OPEN:
            self._stores.popitem(last=False)[1].close()
        return db


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option("--accounts", default=100_000, show_default=True)
@click.option("--posts", default=3, show_default=True, help="Records of each account.")
@click.option("--processes", default=2, show_default=True)
def main(*, directory: Path, accounts: int, posts: int, processes: int) -> None:
    """Make a data directory with many accounts, and tell what it takes."""
    started = time.monotonic()
    make_accounts(directory, accounts, posts=posts, processes=processes)
    seconds = time.monotonic() - started
    found = measure_footprint(directory)
    print(
        f"{accounts:,} accounts in {seconds:.0f} s ({1000 * seconds / accounts:.2f} ms each): "
        f"{found.files:,} files, {found.inodes:,} inodes, {found.size_bytes:,} bytes"
    )


if __name__ == "__main__":
    main()
