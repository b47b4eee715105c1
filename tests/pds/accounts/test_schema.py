"""The service database has the reference's schema, to the letter."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from database.errors import SchemaTooNew
from database.migrations import migrate
from database.opening import open_database
from pds.accounts.schema import account_migrations, open_account_database
from tests.reference import data as reference_data


def schema_of(path: Path) -> list[tuple[str, str, str, str | None]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(
            "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY rowid"
        ).fetchall()
    finally:
        connection.close()


@pytest.fixture
def reference_db(tmp_path: Path) -> Path:
    return reference_data.unpack_file("account.sqlite", tmp_path)


def test_a_new_database_has_the_schema_of_the_reference(tmp_path: Path, reference_db: Path) -> None:
    path = tmp_path / "new.sqlite"
    open_account_database(path).close()
    assert schema_of(path) == schema_of(reference_db)


def test_the_database_of_the_reference_is_opened_without_a_change(reference_db: Path) -> None:
    before = sqlite3.connect(reference_db)
    migrations = before.execute("SELECT name, timestamp FROM kysely_migration").fetchall()
    before.close()
    db = open_account_database(reference_db)
    assert db.all("SELECT name, timestamp FROM kysely_migration ORDER BY name") == migrations
    db.close()


def test_an_older_database_is_migrated_with_its_rows(tmp_path: Path) -> None:
    old = open_database(tmp_path / "account.sqlite")
    migrate(old, account_migrations()[:4])
    old.run("INSERT INTO actor (did, createdAt) VALUES ('did:plc:a', '2024')")
    old.run("INSERT INTO account (did, email, passwordScrypt) VALUES ('did:plc:a', 'a@b.c', 'x')")
    old.run("INSERT INTO device VALUES ('dev-1', 'ses-1', NULL, '127.0.0.1', '2024')")
    for did, remember in (("did:plc:a", 1), ("did:plc:gone", 1), ("did:plc:forgotten", 0)):
        old.run("INSERT INTO device_account VALUES (?, 'dev-1', '2025', ?, '[]')", (did, remember))
    old.close()
    db = open_account_database(tmp_path / "account.sqlite")
    assert db.all("SELECT * FROM account_device") == [("did:plc:a", "dev-1", "2025", "2025")]
    assert db.value("SELECT count(*) FROM kysely_migration") == 7
    db.close()


def test_a_database_of_a_newer_server_is_refused(tmp_path: Path) -> None:
    db = open_account_database(tmp_path / "account.sqlite")
    db.run("INSERT INTO kysely_migration VALUES ('008', '2030-01-01T00:00:00.000Z')")
    db.close()
    with pytest.raises(SchemaTooNew, match="008"):
        open_account_database(tmp_path / "account.sqlite")
