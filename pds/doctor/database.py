"""Checks that apply to every SQLite file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from database.connection import Database
from database.errors import DatabaseError, SchemaTooNew
from database.migrations import Migration, applied_migrations
from pds.disk.remedies import mend_database, restore_database
from pds.doctor.finding import Finding
from pds.reporting import counted

CHECK: Final = "database"
_MESSAGES: Final = 3
"""Messages requested from `PRAGMA integrity_check`; the first one is shown."""


def check_database(db: Database, known: Sequence[Migration]) -> list[Finding]:
    """Return the faults of pages, references and schema.

    The file's tables are reliable only if the list is empty.
    """
    return _check_pages(db) or _check_references(db) or _check_schema(db, known)


def damage(exc: DatabaseError) -> Finding:
    """Return the finding for a file that cannot be opened or read completely."""
    return Finding.error(
        CHECK, exc.path, exc.reason, mend_database(exc) or restore_database(exc.path)
    )


def missing_file(path: Path, consequence: str) -> Finding:
    """Return the finding for a missing file."""
    return Finding.error(CHECK, path, f"is missing: {consequence}", restore_database(path))


def _check_pages(db: Database) -> list[Finding]:
    faults = [str(text) for (text,) in db.all(f"PRAGMA integrity_check({_MESSAGES})")]
    if faults == ["ok"]:
        return []
    # SQLite puts "*** in database main ***" on a line of its own before the first fault.
    lines = [line for fault in faults for line in fault.splitlines() if "***" not in line]
    message = f"integrity_check: {lines[0] if lines else 'damaged'}"
    return [Finding.error(CHECK, db.path, message, restore_database(db.path))]


def _check_references(db: Database) -> list[Finding]:
    rows = db.all('SELECT DISTINCT "table" FROM pragma_foreign_key_check')
    if not rows:
        return []
    names = ", ".join(sorted(name for (name,) in rows))
    message = f"foreign_key_check: rows of {names} refer to rows that are gone"
    return [Finding.error(CHECK, db.path, message, restore_database(db.path))]


def _check_schema(db: Database, known: Sequence[Migration]) -> list[Finding]:
    names = [migration.name for migration in known]
    applied = applied_migrations(db)
    unknown = [name for name in applied if name not in names]
    absent = [name for name in names if name not in applied]
    if not applied:
        message = "is empty: it has none of the tables it should have"
        return [Finding.error("schema", db.path, message, restore_database(db.path))]
    if unknown:
        message = f"a newer version has migrated it: unknown migrations {', '.join(unknown)}"
        remedy = mend_database(SchemaTooNew(db.path, message))
        return [Finding.error("schema", db.path, message, remedy)]
    if applied != names[: len(applied)]:
        message = f"migrations {', '.join(absent)} were never applied, but later ones were"
        return [Finding.error("schema", db.path, message, restore_database(db.path))]
    if absent:
        message = f"lacks {counted(len(absent), 'migration')}: {', '.join(absent)}"
        remedy = "Back it up, then start the server, which applies them; nothing else was checked."
        return [Finding.warning("schema", db.path, message, remedy)]
    return []
