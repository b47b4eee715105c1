"""Opening `hold.sqlite`, which stores what a hold knows besides its repository."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from database.checkpoints import Checkpointer
from database.connection import Database
from database.durability import Durability
from database.migrations import Migration, migrate
from database.opening import open_database
from pds.config import Settings

MIGRATIONS: Final = (Migration("001", Path(__file__).with_name("schema.sql").read_text()),)


def open_hold_database(
    settings: Settings, checkpointer: Checkpointer, durability: Durability
) -> Database:
    """Open or create the database. Raises `DatabaseError`s."""
    durability.take_from_disk(settings.hold_db_path)
    db = open_database(
        settings.hold_db_path,
        wal_autocheckpoint=settings.wal_autocheckpoint,
        busy_timeout_ms=0,
        durability=durability,
    )
    with db.closed_on_error():
        migrate(db, MIGRATIONS)
    if settings.wal_autocheckpoint is not None:
        checkpointer.watch(db)
    return db
