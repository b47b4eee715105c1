"""Schema versions, recorded like the reference PDS's kysely library records them.

So both servers can open the same files: each finds the bookkeeping it expects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from database.connection import Database
from database.errors import SchemaGap, SchemaTooNew
from database.timestamps import now_iso

# Exactly what kysely runs, so that sqlite_master is the same for both servers.
_BOOKKEEPING: Final = """
CREATE TABLE IF NOT EXISTS "kysely_migration" \
("name" varchar(255) not null primary key, "timestamp" varchar(255) not null);
CREATE TABLE IF NOT EXISTS "kysely_migration_lock" \
("id" varchar(255) not null primary key, "is_locked" integer default 0 not null);
INSERT OR IGNORE INTO kysely_migration_lock (id, is_locked) VALUES ('migration_lock', 0);
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One schema step. Steps are applied in order and never change once released."""

    name: str
    """`001`, `002`, …: the reference's name for the same step."""
    sql: str
    """Statements separated by semicolons."""


def migrate(db: Database, migrations: Sequence[Migration]) -> None:
    """Apply the `migrations` that `db` lacks, in one transaction.

    Raises `SchemaTooNew` or `SchemaGap`, before changing anything, if the file's history is not a
    prefix of `migrations`.
    """
    known = [migration.name for migration in migrations]
    if applied_migrations(db) == known:
        return
    with db.transaction():
        applied = applied_migrations(db)
        _check_history(db, applied, known)
        db.script(_BOOKKEEPING)
        for migration in migrations[len(applied) :]:
            db.script(migration.sql)
            db.run(
                "INSERT INTO kysely_migration (name, timestamp) VALUES (?, ?)",
                (migration.name, now_iso()),
            )


def applied_migrations(db: Database) -> list[str]:
    """Return the names of the migrations recorded in `db`, in order; empty for a new file."""
    if not db.connection.table_exists("main", "kysely_migration"):
        return []
    return [name for (name,) in db.all("SELECT name FROM kysely_migration ORDER BY name")]


def _check_history(db: Database, applied: list[str], known: list[str]) -> None:
    unknown = [name for name in applied if name not in known]
    if unknown:
        raise SchemaTooNew(db.path, f"unknown migrations {', '.join(unknown)}")
    if applied != known[: len(applied)]:
        missing = [name for name in known[: len(applied)] if name not in applied]
        raise SchemaGap(db.path, f"migrations {', '.join(missing)} were never applied")
