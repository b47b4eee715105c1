"""Opening databases and running statements."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from database.connection import Database
from database.engine import find_engine_fault, running_version
from database.errors import (
    ConstraintViolated,
    DatabaseBusy,
    DatabaseClosed,
    DatabaseDamaged,
    DatabaseForbidden,
    DatabaseFull,
    DatabaseMissing,
    StatementFailed,
)
from database.opening import open_database


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "test.sqlite"


@pytest.fixture
def db(path: Path) -> Database:
    db = open_database(path)
    db.script("CREATE TABLE t (k TEXT PRIMARY KEY, v BLOB) STRICT; CREATE TABLE u (n INTEGER);")
    return db


def test_opens_the_way_litestream_needs(db: Database, path: Path) -> None:
    assert db.value("PRAGMA journal_mode") == "wal"
    assert db.value("PRAGMA locking_mode") == "normal"
    assert db.value("PRAGMA synchronous") == 1
    assert db.value("PRAGMA busy_timeout") >= 5_000
    assert db.value("PRAGMA foreign_keys") == 1
    assert db.value("PRAGMA wal_autocheckpoint") == 1_000
    assert path.with_name("test.sqlite-wal").exists()


def test_settings_are_applied(path: Path) -> None:
    db = open_database(path, cache_kib=256, busy_timeout_ms=0)
    assert db.value("PRAGMA cache_size") == -256
    assert db.value("PRAGMA busy_timeout") == 0


class _Closing:
    """A connection that records the size of its file when SQLite is asked to close it."""

    def __init__(self, db: Database) -> None:
        self._connection = db.connection
        self._path = db.path
        self.size_bytes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def close(self) -> None:
        self.size_bytes = self._path.stat().st_size
        self._connection.close()


@pytest.mark.parametrize("wal_autocheckpoint", [1_000, None])
def test_closing_in_a_thread_leaves_sqlite_nothing_to_write(
    path: Path, wal_autocheckpoint: int | None
) -> None:
    """It would keep the event loop waiting."""
    db = open_database(path, wal_autocheckpoint=wal_autocheckpoint)
    db.run("CREATE TABLE t (v BLOB)")
    db.run("INSERT INTO t VALUES (zeroblob(1000000))")
    closing: Any = _Closing(db)
    db.connection = closing
    db.close_in_thread()
    db.close_in_thread()
    is_checkpointed = closing.size_bytes > 1_000_000
    assert is_checkpointed == (wal_autocheckpoint is not None)
    assert path.with_name("test.sqlite-wal").exists() != is_checkpointed


def test_closing_at_once_leaves_the_wal_to_the_next(path: Path) -> None:
    db = open_database(path)
    db.run("CREATE TABLE t (v BLOB)")
    db.run("INSERT INTO t VALUES (zeroblob(1000000))")
    db.close_at_once()
    db.close_at_once()
    assert path.with_name("test.sqlite-wal").stat().st_size > 1_000_000
    assert open_database(path).value("SELECT length(v) FROM t") == 1_000_000


def test_leaves_the_wal_to_litestream_when_asked(path: Path) -> None:
    db = open_database(path, wal_autocheckpoint=None)
    db.run("CREATE TABLE t (x)")
    assert db.value("PRAGMA wal_autocheckpoint") == 0
    db.close()
    assert path.with_name("test.sqlite-wal").stat().st_size > 0


def test_closing_checkpoints_otherwise(db: Database, path: Path) -> None:
    db.close()
    assert not path.with_name("test.sqlite-wal").exists()


def test_rows_and_values(db: Database) -> None:
    db.many("INSERT INTO t (k, v) VALUES (?, ?)", [("a", b"1"), ("b", b"2")])
    assert db.one("SELECT k, v FROM t WHERE k = ?", ("b",)) == ("b", b"2")
    assert db.one("SELECT k FROM t WHERE k = ?", ("c",)) is None
    assert db.value("SELECT v FROM t WHERE k = ?", ("a",)) == b"1"
    assert db.value("SELECT v FROM t WHERE k = ?", ("c",)) is None
    assert db.all("SELECT k FROM t ORDER BY k") == [("a",), ("b",)]
    assert list(db.iter("SELECT k FROM t ORDER BY k DESC")) == [("b",), ("a",)]
    db.run("DELETE FROM t")
    assert db.changes == 2


def test_transaction_commits_or_leaves_no_trace(db: Database) -> None:
    with db.transaction():
        db.run("INSERT INTO u (n) VALUES (1)")
    with pytest.raises(ConstraintViolated), db.transaction():
        db.many("INSERT INTO t (k) VALUES (?)", [("a",), ("a",)])
    assert db.all("SELECT n FROM u") == [(1,)]
    assert db.all("SELECT k FROM t") == []
    assert not db.connection.in_transaction


def test_failure_inside_a_transaction_that_sqlite_has_ended_is_reported_as_itself(
    db: Database,
) -> None:
    def fail(after: Callable[[], None]) -> None:
        with db.transaction():
            after()
            raise LookupError

    with pytest.raises(LookupError):
        fail(lambda: db.run("ROLLBACK"))
    with pytest.raises(LookupError):
        fail(db.close)


def test_transactions_do_not_nest(db: Database) -> None:
    with db.transaction():
        with pytest.raises(StatementFailed), db.transaction():
            pass
        assert db.connection.in_transaction


def test_snapshot_does_not_see_later_writes(db: Database, path: Path) -> None:
    other = open_database(path)
    with db.snapshot():
        assert db.value("SELECT count(*) FROM u") == 0
        other.run("INSERT INTO u (n) VALUES (1)")
        assert db.value("SELECT count(*) FROM u") == 0
    assert db.value("SELECT count(*) FROM u") == 1


def test_second_writer_is_told_that_the_file_is_busy(db: Database, path: Path) -> None:
    other = open_database(path, busy_timeout_ms=0)
    with db.transaction(), pytest.raises(DatabaseBusy) as caught, other.transaction():
        pass
    assert caught.value.path == path


def test_read_only_database_refuses_writes(db: Database, path: Path) -> None:
    reader = open_database(path, read_only=True)
    assert reader.value("SELECT count(*) FROM u") == 0
    with pytest.raises(DatabaseForbidden):
        reader.run("INSERT INTO u (n) VALUES (1)")


def test_constraint_is_named(db: Database) -> None:
    db.run("INSERT INTO t (k) VALUES ('a')")
    with pytest.raises(ConstraintViolated, match=r"UNIQUE constraint failed: t\.k"):
        db.run("INSERT INTO t (k) VALUES ('a')")


def test_wrong_sql_is_a_failed_statement(db: Database) -> None:
    with pytest.raises(StatementFailed):
        db.one("SELECT nothing FROM nowhere")


def test_closed_database_says_so_and_closes_twice(db: Database) -> None:
    db.close()
    db.close()
    with pytest.raises(DatabaseClosed):
        db.one("SELECT 1")


def test_missing_file_and_missing_directory_are_told(tmp_path: Path) -> None:
    with pytest.raises(DatabaseMissing):
        open_database(tmp_path / "none.sqlite", create=False)
    with pytest.raises(DatabaseMissing, match="data directory"):
        open_database(tmp_path / "none" / "x.sqlite")
    assert list(tmp_path.iterdir()) == []


def test_file_without_permission_is_told(path: Path, db: Database) -> None:
    db.close()
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(DatabaseForbidden, match="belong to the server"):
        open_database(path)


def test_noise_is_not_a_database(path: Path) -> None:
    path.write_bytes(os.urandom(8192))
    with pytest.raises(DatabaseDamaged, match="restore"):
        open_database(path)
    path.write_bytes(b"SQLite format 3\x00" + os.urandom(8192))
    with pytest.raises(DatabaseDamaged):
        open_database(path)


def test_full_disk_rolls_back(db: Database) -> None:
    pages = db.value("PRAGMA page_count")
    db.run(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(DatabaseFull, match="free space"), db.transaction():
        db.run("INSERT INTO t (k, v) VALUES ('a', zeroblob(100000))")
    assert db.value("SELECT count(*) FROM t") == 0
    assert not db.connection.in_transaction


def test_connection_may_be_handed_to_another_thread(db: Database) -> None:
    thread = threading.Thread(target=db.run, args=("INSERT INTO u (n) VALUES (7)",))
    thread.start()
    thread.join()
    assert db.value("SELECT n FROM u") == 7


def test_checkpoint_empties_the_wal(db: Database, path: Path) -> None:
    db.checkpoint()
    assert path.with_name("test.sqlite-wal").stat().st_size == 0


def test_checkpoint_leaves_a_reader_alone(db: Database, path: Path) -> None:
    db.connection.set_busy_timeout(0)
    reader = open_database(path)
    with reader.snapshot():
        assert reader.value("SELECT count(*) FROM u") == 0
        db.run("INSERT INTO u (n) VALUES (1)")
        db.checkpoint()
        assert reader.value("SELECT count(*) FROM u") == 0


def test_sqlite_is_recent_enough_for_reliable_wal() -> None:
    assert find_engine_fault(running_version()) is None


_SHM_LINES = 25
"""More than /proc/self/smaps has for a mapping."""


def _index_kib(path: Path) -> int:
    """How much of a database's WAL index counts as memory of this process."""
    lines = Path("/proc/self/smaps").read_text().splitlines()
    at = next(n for n, line in enumerate(lines) if line.endswith(f"{path}-shm"))
    rss = next(line for line in lines[at : at + _SHM_LINES] if line.startswith("Rss:"))
    return int(rss.split()[1])


def test_released_memory_is_that_of_pages_statements_and_the_wal_index(path: Path) -> None:
    db = open_database(path)
    db.run("CREATE TABLE t (v BLOB)")
    db.run("INSERT INTO t VALUES (zeroblob(200000))")
    assert db.value("SELECT length(v) FROM t") == 200_000
    before = apsw.memory_used()
    statements_bytes, _ = db.connection.status(apsw.SQLITE_DBSTATUS_STMT_USED)
    assert _index_kib(path) > 0
    db.release_memory()
    assert before - apsw.memory_used() > 200_000
    assert db.connection.status(apsw.SQLITE_DBSTATUS_STMT_USED)[0] < statements_bytes / 2
    assert _index_kib(path) == 0
    db.close()


def test_after_releasing_memory_everything_is_as_before(path: Path) -> None:
    db = open_database(path, cache_kib=512, secure_delete=True)
    other = open_database(path)
    db.run("CREATE TABLE t (n INTEGER PRIMARY KEY)")
    pragmas = ("synchronous", "cache_size", "secure_delete", "foreign_keys", "journal_mode")
    before = [db.value(f"PRAGMA {name}") for name in pragmas]
    for number in range(3):
        db.release_memory()
        other.run("INSERT INTO t VALUES (?)", (number * 2,))
        db.run("INSERT INTO t VALUES (?)", (number * 2 + 1,))
    db.release_memory()
    assert [db.value(f"PRAGMA {name}") for name in pragmas] == before
    assert db.all("SELECT n FROM t") == other.all("SELECT n FROM t") == [(n,) for n in range(6)]
    other.close()
    db.close()
