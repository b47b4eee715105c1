"""Schema versions in the bookkeeping of the reference PDS."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from database.connection import Database
from database.errors import SchemaGap, SchemaTooNew
from database.migrations import Migration, applied_migrations, migrate
from database.opening import open_database
from tests.reference import data as reference_data

ONE = Migration("001", "CREATE TABLE a (x); CREATE TABLE b (x);")
TWO = Migration("002", "ALTER TABLE a ADD COLUMN y;")
THREE = Migration("003", "CREATE INDEX a_y ON a (y);")


@pytest.fixture
def db(tmp_path: Path) -> Database:
    return open_database(tmp_path / "test.sqlite")


def _schema(db: Database) -> list[tuple[str, ...]]:
    return db.all("SELECT name, sql FROM sqlite_master ORDER BY rowid")


def test_new_database_gets_every_migration(db: Database) -> None:
    migrate(db, [ONE, TWO])
    assert applied_migrations(db) == ["001", "002"]
    assert db.all("SELECT x, y FROM a") == []


_MIGRATION_TABLE = (
    'CREATE TABLE "kysely_migration" ("name" varchar(255) not null primary key,'
    ' "timestamp" varchar(255) not null)'
)
_LOCK_TABLE = (
    'CREATE TABLE "kysely_migration_lock" ("id" varchar(255) not null primary key,'
    ' "is_locked" integer default 0 not null)'
)


def test_bookkeeping_is_that_of_kysely(db: Database) -> None:
    migrate(db, [ONE])
    assert _schema(db)[:4] == [
        ("kysely_migration", _MIGRATION_TABLE),
        ("sqlite_autoindex_kysely_migration_1", None),
        ("kysely_migration_lock", _LOCK_TABLE),
        ("sqlite_autoindex_kysely_migration_lock_1", None),
    ]
    assert db.all("SELECT id, is_locked FROM kysely_migration_lock") == [("migration_lock", 0)]
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",
        db.value("SELECT timestamp FROM kysely_migration"),
    )


def test_only_what_is_missing_is_applied(db: Database) -> None:
    migrate(db, [ONE])
    db.run("INSERT INTO a (x) VALUES (1)")
    migrate(db, [ONE, TWO, THREE])
    migrate(db, [ONE, TWO, THREE])
    assert applied_migrations(db) == ["001", "002", "003"]
    assert db.all("SELECT x, y FROM a") == [(1, None)]


def test_failed_migration_leaves_the_database_as_it_was(db: Database) -> None:
    migrate(db, [ONE])
    before = _schema(db)
    with pytest.raises(Exception, match="no such table"):
        migrate(db, [ONE, TWO, Migration("003", "CREATE TABLE c (x); DROP TABLE nowhere;")])
    assert _schema(db) == before
    assert applied_migrations(db) == ["001"]


def test_database_of_a_newer_program_is_refused_untouched(db: Database) -> None:
    migrate(db, [ONE, TWO, THREE])
    with pytest.raises(SchemaTooNew, match="003"):
        migrate(db, [ONE, TWO])
    assert applied_migrations(db) == ["001", "002", "003"]


def test_history_with_a_hole_is_refused_untouched(db: Database) -> None:
    migrate(db, [ONE, TWO])
    db.run("DELETE FROM kysely_migration WHERE name = '001'")
    with pytest.raises(SchemaGap, match="001"):
        migrate(db, [ONE, TWO])
    assert applied_migrations(db) == ["002"]


def test_database_migrated_by_the_reference_needs_nothing(tmp_path: Path) -> None:
    db = open_database(reference_data.unpack_file("did_cache.sqlite", tmp_path))
    before = _schema(db)
    migrate(db, [Migration("001", "CREATE TABLE never (x);")])
    assert _schema(db) == before
