"""A data directory with many accounts, made by copying one, and writes spread over them."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import shutil
import time
from collections import OrderedDict
from pathlib import Path
from typing import Final

from actor_store.blob_store.disk import DiskBlobStore
from actor_store.layout import ActorLayout
from actor_store.store import ActorStore
from actor_store.transactor import ActorStoreTransactor
from actor_store.writes import PreparedWrite
from benchmarks.seed import COLLECTION, post, rkeys_of
from database.connection import Database
from database.opening import open_database
from database.timestamps import iso_of
from repo import dagcbor
from repo.cid import Cid
from repo.keys import K256PrivateKey
from repo.tid import TidClock
from sequencer.log import EventLog

_POSTS: Final = 100
"""Records of each account."""
_OPEN: Final = 400
"""Stores that the writer has open, as a server has."""
_WRITE: Final = "INSERT INTO account_pref (name, valueJson) VALUES ('bench', ?)"
_EVENT: Final = (
    "INSERT INTO repo_seq (did, eventType, event, sequencedAt) VALUES (?, 'append', ?, ?)"
)
_EVENT_BODY: Final = os.urandom(2_000)


def did_of(number: int) -> str:
    """The DID of an account."""
    return f"did:plc:{hashlib.sha256(b'%d' % number).hexdigest()[:24]}"


def make_accounts(data: Path, accounts: int) -> int:
    """Fill a data directory; return the size of each store in bytes."""
    layout = ActorLayout(data / "actors")
    template = asyncio.run(_make_template(data / "template"))
    for name in ("account.sqlite", "did_cache.sqlite"):
        db = open_database(data / name)
        db.run("CREATE TABLE IF NOT EXISTS t (x)")
        db.close()
    log = open_database(data / "sequencer.sqlite")
    EventLog(log)
    log.close()
    key = K256PrivateKey.generate().export()
    for number in range(accounts):
        did = did_of(number)
        layout.directory(did).mkdir(parents=True)
        shutil.copyfile(template, layout.store(did))
        layout.key(did).write_bytes(key)
    return template.stat().st_size


async def _make_template(directory: Path) -> Path:
    """Make a store with some posts; what it says about its DID nobody here looks at."""
    did = did_of(-1)
    layout = ActorLayout(directory)
    store = ActorStore(
        layout=layout,
        blob_store=DiskBlobStore(directory / "blobs", directory / "tempt"),
        clock=TidClock(lambda: time.time_ns() // 1_000, 1),
    )
    await store.create(did, K256PrivateKey.generate(), ActorStoreTransactor.create_repo)
    writes = [_create(number, rkey) for number, rkey in enumerate(rkeys_of(_POSTS))]
    await store.commit(did, lambda _: writes)
    await store.close()
    return layout.store(did)


def _create(number: int, rkey: str) -> PreparedWrite:
    block = dagcbor.encode(post(number))
    return PreparedWrite("create", COLLECTION, rkey, Cid.of_dag_cbor(block), block)


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
