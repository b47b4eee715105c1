"""The ledger, `replication.sqlite`: its tables, and transactions over several of them."""

from __future__ import annotations

import contextlib
import logging
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from database import retry
from database.connection import Database
from database.errors import DatabaseDamaged
from database.migrations import Migration, migrate
from database.opening import open_database
from database.wal import files_of
from pds.replication.ledger.actor_rows import ActorRows
from pds.replication.ledger.service_rows import ServiceRows
from pds.replication.ledger.state_rows import BLOBS_LEARNED, StateRows
from pds.replication.litestream.local_state import state_directory

T = TypeVar("T")

MIGRATIONS: Final = (Migration("001", Path(__file__).with_name("schema.sql").read_text()),)
_COPIES: Final = ("key_copy", "blob_copy", "blob_directory")
"""The tables of `copies`."""

logger = logging.getLogger(__name__)


class Ledger:
    """What has reached the replica. For one task of the event loop at a time, like any connection.

    The methods of the tables are short statements and raise `DatabaseError`s; `write` makes one
    transaction of several.
    """

    def __init__(self, db: Database) -> None:
        self.db: Final = db
        """For tables of others: what is copied beside databases."""
        self.actors: Final = ActorRows(db)
        self.services: Final = ServiceRows(db)
        self.state: Final = StateRows(db)

    @classmethod
    def open(cls, path: Path) -> Ledger:
        """Open or create the ledger. Raises `DatabaseError`s.

        A damaged one is put aside: what it knew is found out again.
        """
        try:
            return cls._open(path)
        except DatabaseDamaged as exc:
            aside = _put_aside(path)
            logger.warning("%s: starting with a new ledger, the old one is now %s", exc, aside)
            return cls._open(path)

    @classmethod
    def _open(cls, path: Path) -> Ledger:
        # Its checkpoints are left to Litestream, whatever the server's databases do: it is
        # replicated whenever it is written to.
        db = open_database(path, wal_autocheckpoint=None, busy_timeout_ms=0)
        with db.closed_on_error():
            # Litestream holds the lock for moments only, and nothing else runs yet.
            db.connection.set_busy_timeout(5_000)
            migrate(db, MIGRATIONS)
            ledger = cls(db)
            ledger.state.settle_server_id(path.stat().st_ino, _new_server_id)
            db.connection.set_busy_timeout(0)
        return ledger

    @property
    def server_id(self) -> str:
        """Tells this data directory from others, copies of it included."""
        return self.state.get("serverId") or ""

    async def write(self, fn: Callable[[], T]) -> T:
        """Run statements as one transaction. `fn` may run again if the file is busy."""
        return await retry.write(self.db, fn)

    async def join_replica(self, replica: str, *, is_new: bool, now_ms: int) -> None:
        """Note to which replica all this refers, and forget everything if that is another one.

        Takes a second for 200,000 actors. Raises `DatabaseError`s.
        """
        if not is_new and self.state.get("replica") == replica:
            return

        def forget() -> None:
            self.actors.reset(now_ms)
            self.services.forget()
            for table in _COPIES:
                self.db.run(f"DELETE FROM {table}")
            self.state.set(BLOBS_LEARNED, "")
            self.state.set("replica", replica)

        await self.write(forget)

    def close(self) -> None:
        """Close the file. Closing twice is harmless."""
        self.db.close()


def _new_server_id() -> str:
    return secrets.token_hex(16)


def _put_aside(path: Path) -> Path:
    """Rename a database and what lies beside it; Litestream's state of it goes with it."""
    aside = path.with_name(f"{path.name}.damaged-{int(time.time())}")
    for old, new in zip(files_of(path), files_of(aside), strict=True):
        with contextlib.suppress(FileNotFoundError):
            old.rename(new)
    with contextlib.suppress(OSError):
        state_directory(path).rename(state_directory(aside))
    return aside
