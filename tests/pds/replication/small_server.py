"""The files of a server with many small accounts, made quickly and without the server."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from actor_store.creation import remove_directory
from actor_store.layout import ActorLayout
from actor_store.schema import migrate_store
from database.opening import open_database
from database.timestamps import iso_of
from repo.keys import K256PrivateKey
from sequencer.log import EventLog

_PREFERENCE = "INSERT INTO account_pref (name, valueJson) VALUES (?, ?)"
_EVENT = "INSERT INTO repo_seq (did, eventType, event, sequencedAt) VALUES (?, 'append', ?, ?)"


def did_of(number: int) -> str:
    """The DID of an account of these tests."""
    return f"did:plc:{hashlib.sha256(str(number).encode()).hexdigest()[:24]}"


@dataclass
class SmallServer:
    """A data directory. Each method opens its files anew, as a server does after a restart."""

    directory: Path

    @classmethod
    def make(cls, directory: Path, accounts: int) -> SmallServer:
        """Make the service databases and some accounts, without events."""
        directory.mkdir(parents=True, exist_ok=True)
        server = cls(directory)
        for name in ("account.sqlite", "did_cache.sqlite"):
            with closing(sqlite3.connect(directory / name)) as db:
                db.executescript("PRAGMA journal_mode = WAL; CREATE TABLE t (x)")
        log = open_database(server.log)
        EventLog(log)
        log.close()
        template = directory / "template.sqlite"
        store = open_database(template)
        migrate_store(store)
        store.close()
        for number in range(accounts):
            server.create(did_of(number))
        return server

    @property
    def layout(self) -> ActorLayout:
        return ActorLayout(self.directory / "actors")

    @property
    def log(self) -> Path:
        return self.directory / "sequencer.sqlite"

    @property
    def dids(self) -> list[str]:
        return sorted(self.layout.iter_dids())

    def create(self, did: str) -> None:
        """Make an account by copying one."""
        directory = self.layout.directory(did)
        directory.mkdir(parents=True)
        key = K256PrivateKey.generate()
        self.layout.key(did).write_bytes(key.export())
        new = directory / "store.sqlite.new"
        shutil.copyfile(self.directory / "template.sqlite", new)
        new.rename(self.layout.store(did))

    def delete(self, did: str) -> None:
        """Delete an account."""
        remove_directory(self.layout, did)

    def write(self, did: str, value: str, *, event: bool = True) -> None:
        """Change a store, and tell of it in the log unless it makes no event."""
        db = open_database(self.layout.store(did), wal_autocheckpoint=None, create=False)
        with db.closed_on_error(), db.transaction():
            db.run(_PREFERENCE, ("test", f'"{value}"'))
        db.close()
        if event:
            self.tell(did)

    def tell(self, *dids: str) -> None:
        """Append events to the log."""
        db = open_database(self.log, wal_autocheckpoint=None)
        with db.closed_on_error(), db.transaction():
            db.many(_EVENT, [(did, b"\xa0", iso_of(time.time())) for did in dids])
        db.close()


def values_in(store: Path) -> list[str]:
    """What `write` has written to a store."""
    with closing(sqlite3.connect(store)) as db:
        return [value for (value,) in db.execute("SELECT valueJson FROM account_pref ORDER BY id")]
