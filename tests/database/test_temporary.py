"""Scratch databases: private, and leaving nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from database.errors import DatabaseClosed
from database.temporary import open_scratch


def test_rows_come_back_sorted_whatever_their_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SQLITE_TMPDIR", str(tmp_path))
    db = open_scratch()
    db.run("CREATE TABLE t (k TEXT NOT NULL) STRICT")
    # More than the cache holds, so that the file comes into use.
    db.many("INSERT INTO t VALUES (?)", ((f"{n * 7919 % 30_000:0500}",) for n in range(30_000)))
    keys = [key for (key,) in db.iter("SELECT k FROM t ORDER BY k")]
    assert keys == [f"{n:0500}" for n in range(30_000)]
    db.close()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(DatabaseClosed):
        db.one("SELECT 1")


def test_two_share_nothing() -> None:
    one, other = open_scratch(), open_scratch()
    for db in (one, other):
        db.run("CREATE TABLE t (n INTEGER) STRICT")
    one.run("INSERT INTO t VALUES (1)")
    assert other.one("SELECT * FROM t") is None
    one.close()
    other.close()
