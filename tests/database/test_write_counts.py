"""Counts of write transactions, which operators watch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from database import retry
from database.connection import Database, WriteCounts
from database.errors import DatabaseBusy
from database.opening import open_database


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = open_database(tmp_path / "test.sqlite", busy_timeout_ms=0)
    database.run("CREATE TABLE t (n)")
    yield database
    database.close()


async def test_what_is_committed_is_counted_with_its_time(db: Database) -> None:
    with db.transaction():
        db.run("INSERT INTO t VALUES (1)")
    await retry.write(db, lambda: db.run("INSERT INTO t VALUES (2)"))
    assert db.counts.committed == 2
    assert 0 < db.counts.seconds < 10


async def test_reads_and_what_is_rolled_back_are_not_counted(db: Database) -> None:
    with db.snapshot():
        db.value("SELECT 1")
    with pytest.raises(RuntimeError), db.transaction():
        raise RuntimeError
    assert db.counts == WriteCounts()


async def test_every_try_that_finds_the_file_locked_is_counted(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "DELAYS_MS", (0, 0))
    other = open_database(db.path)
    with other.transaction(), pytest.raises(DatabaseBusy):
        await retry.write(db, lambda: None)
    other.close()
    assert (db.counts.busy, db.counts.committed) == (3, 0)


def test_databases_may_share_their_counts(tmp_path: Path) -> None:
    counts = WriteCounts()
    for name in ("one", "two"):
        db = open_database(tmp_path / name, counts=counts)
        with db.transaction():
            db.run("CREATE TABLE t (n)")
        db.close()
    assert counts.committed == 2
