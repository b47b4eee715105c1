"""Checkpoints in a thread: the WAL stays short, and commits do not wait."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from database.checkpoints import Checkpointer
from database.connection import Database
from database.opening import open_database


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    db = open_database(tmp_path / "test.sqlite")
    db.run("CREATE TABLE t (v BLOB)")
    yield db
    db.close()


def _commit_pages(db: Database, pages: int) -> None:
    for _ in range(pages // 10):
        db.run("INSERT INTO t (v) VALUES (zeroblob(36000))")


def _wal_bytes(db: Database) -> int:
    return db.path.with_name(db.path.name + "-wal").stat().st_size


def test_long_wal_is_moved_into_the_database(db: Database) -> None:
    checkpointer = Checkpointer(pages=100)
    checkpointer.watch(db)
    _commit_pages(db, 150)
    checkpointer.close()
    assert db.path.stat().st_size > 300_000


def test_wal_stays_bounded_although_commits_never_pause(db: Database) -> None:
    checkpointer = Checkpointer(pages=50)
    checkpointer.watch(db)
    for _ in range(40):
        _commit_pages(db, 100)
    checkpointer.close()
    assert _wal_bytes(db) < 50 * 8 * 4_200 * 2
    assert db.value("SELECT count(*) FROM t") == 400


def test_checkpoints_are_made_in_one_other_thread(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []
    monkeypatch.setattr(
        "database.checkpoints._checkpoint", lambda *args: threads.append(threading.current_thread())
    )
    checkpointer = Checkpointer(pages=100)
    checkpointer.watch(db)
    _commit_pages(db, 700)
    checkpointer.close()
    # Nothing was checkpointed, so there was one try every hundred pages.
    assert 5 <= len(threads) <= 8
    assert set(threads).isdisjoint({threading.current_thread()})
    assert len(set(threads)) == 1


def test_reader_of_old_pages_delays_the_checkpoint_and_not_the_writer(db: Database) -> None:
    checkpointer = Checkpointer(pages=50)
    checkpointer.watch(db)
    reader = open_database(db.path)
    with reader.snapshot():
        assert reader.value("SELECT count(*) FROM t") == 0
        _commit_pages(db, 600)
        assert reader.value("SELECT count(*) FROM t") == 0
    reader.close()
    _commit_pages(db, 100)
    checkpointer.close()
    assert db.value("SELECT count(*) FROM t") == 70


def test_database_deleted_meanwhile_harms_nobody(db: Database, tmp_path: Path) -> None:
    checkpointer = Checkpointer()
    checkpointer.start(tmp_path / "gone.sqlite")
    checkpointer.close()
    assert not (tmp_path / "gone.sqlite").exists()


def test_closed_checkpointer_lets_commits_through(db: Database) -> None:
    checkpointer = Checkpointer(pages=10)
    checkpointer.watch(db)
    checkpointer.close()
    checkpointer.close()
    _commit_pages(db, 50)
    assert db.value("SELECT count(*) FROM t") == 5
