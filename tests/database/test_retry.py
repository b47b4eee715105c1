"""Transactions of the event loop, with and without competition."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from database import retry
from database.connection import Database
from database.errors import DatabaseBusy
from database.opening import open_database


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "test.sqlite"
    db = open_database(path)
    db.run("CREATE TABLE u (n INTEGER)")
    db.close()
    return path


@pytest.fixture
def db(path: Path) -> Database:
    return open_database(path, busy_timeout_ms=0)


def _step(coroutine: Coroutine[Any, Any, object]) -> object:
    """Run a coroutine that must not suspend."""
    with pytest.raises(StopIteration) as stopped:
        coroutine.send(None)
    return stopped.value.value


def test_write_commits_without_suspending(db: Database) -> None:
    def insert() -> str:
        db.run("INSERT INTO u (n) VALUES (1)")
        return "done"

    assert _step(retry.write(db, insert)) == "done"
    assert not db.connection.in_transaction
    assert db.value("SELECT n FROM u") == 1


async def test_write_rolls_back_when_the_body_fails(db: Database) -> None:
    def fail() -> None:
        db.run("INSERT INTO u (n) VALUES (1)")
        raise LookupError

    with pytest.raises(LookupError):
        await retry.write(db, fail)
    assert not db.connection.in_transaction
    assert db.value("SELECT count(*) FROM u") == 0


async def test_write_waits_for_another_connection(db: Database, path: Path) -> None:
    other = open_database(path)
    other.run("BEGIN IMMEDIATE")
    runs = 0

    def insert() -> None:
        nonlocal runs
        runs += 1
        db.run("INSERT INTO u (n) VALUES (2)")

    task = asyncio.ensure_future(retry.write(db, insert))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not task.done()
    other.run("INSERT INTO u (n) VALUES (1)")
    other.run("COMMIT")
    await task
    assert runs == 1
    assert db.all("SELECT n FROM u") == [(1,), (2,)]


async def test_write_gives_up_in_the_end(
    db: Database, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "DELAYS_MS", (0, 0, 0))
    other = open_database(path)
    with other.transaction(), pytest.raises(DatabaseBusy):
        await retry.write(db, lambda: None)
    await retry.write(db, lambda: None)


def test_patience_is_the_five_seconds_litestream_asks_for() -> None:
    assert sum(retry.DELAYS_MS) >= 5_000
    assert len(retry.DELAYS_MS) <= 60


async def test_many_writers_on_many_connections_lose_nothing(path: Path) -> None:
    connections = [open_database(path, busy_timeout_ms=0) for _ in range(4)]

    async def count_up(db: Database) -> None:
        for _ in range(10):
            await retry.write(
                db, lambda: db.run("INSERT INTO u (n) SELECT ifnull(max(n), 0) + 1 FROM u")
            )
            await asyncio.sleep(0)

    await asyncio.gather(*(count_up(db) for db in connections for _ in range(2)))
    assert connections[0].all("SELECT n FROM u ORDER BY n") == [(n,) for n in range(1, 81)]


async def test_cancelled_while_waiting_leaves_no_transaction(db: Database, path: Path) -> None:
    other = open_database(path)
    with other.transaction():
        task = asyncio.ensure_future(retry.write(db, lambda: None))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert not db.connection.in_transaction
