"""The ledger's tables of copies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from database.connection import Database

_SCHEMA: Final = Path(__file__).with_name("schema.sql").read_text()


def create_tables(db: Database) -> None:
    """Create the tables that a ledger does not have yet. Raises `DatabaseError`s."""
    with db.transaction():
        db.script(_SCHEMA)


def forget_copies(db: Database) -> None:
    """Delete all rows, for a replica that has none of the files. Raises `DatabaseError`s."""
    with db.transaction():
        for table in ("key_copy", "blob_copy", "blob_directory"):
            db.run(f"DELETE FROM {table}")
