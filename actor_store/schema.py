"""The schema of an actor's database, and its versions."""

from __future__ import annotations

from functools import cache
from importlib import resources

from database.connection import Database
from database.migrations import Migration, migrate


def migrate_store(db: Database) -> None:
    """Migrate an actor's database, new or old, to the current schema.

    Raises `database.errors.SchemaTooNew` if a newer program has migrated it.
    """
    migrate(db, store_migrations())


@cache
def store_migrations() -> tuple[Migration, ...]:
    """Return the schema steps, in order."""
    sql = resources.files("actor_store").joinpath("schema.sql").read_text("utf-8")
    return (Migration("001", sql),)
