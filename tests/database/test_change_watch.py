"""What is kept in memory is forgotten when its file changes, whoever changes it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from database.change_watch import ChangeWatch
from database.connection import Database
from database.opening import open_database


class Kept:
    """Counts how often it was told to forget."""

    def __init__(self, db: Database) -> None:
        self.forgotten = 0
        self.watch = ChangeWatch(db)
        self.watch.on_change(self.forget, own_tables=("a",))

    def forget(self) -> None:
        self.forgotten += 1

    def look(self) -> int:
        """Look, and return how often it had to forget since the last time."""
        self.watch.look()
        forgotten, self.forgotten = self.forgotten, 0
        return forgotten


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    with closing(open_database(tmp_path / "x.sqlite")) as db:
        db.script("CREATE TABLE a (n INTEGER) STRICT; CREATE TABLE b (n INTEGER) STRICT;")
        yield db


@pytest.fixture
def other(db: Database) -> Iterator[Database]:
    with closing(open_database(db.path)) as other:
        yield other


def add(db: Database, table: str) -> None:
    db.run(f"INSERT INTO {table} VALUES (1)")


async def test_a_change_by_another_connection_is_noticed_once(
    db: Database, other: Database
) -> None:
    kept = Kept(db)
    assert kept.look() == 1
    for table in ("a", "b"):
        await asyncio.sleep(0)
        assert kept.look() == 0
        add(other, table)
        await asyncio.sleep(0)
        assert (kept.look(), kept.look()) == (1, 0)


async def test_a_step_of_the_event_loop_looks_once(db: Database, other: Database) -> None:
    kept = Kept(db)
    kept.look()
    add(other, "a")
    assert kept.look() == 0
    await asyncio.sleep(0)
    assert kept.look() == 1


def test_without_an_event_loop_it_looks_each_time(db: Database, other: Database) -> None:
    kept = Kept(db)
    kept.look()
    add(other, "a")
    assert kept.look() == 1


async def test_a_change_of_ones_own_is_noticed_at_once_and_in_its_tables_only(db: Database) -> None:
    kept = Kept(db)
    kept.look()
    add(db, "b")
    assert kept.forgotten == 0
    for sql in ("INSERT INTO a VALUES (1)", "UPDATE a SET n = 2", "DELETE FROM a WHERE n = 2"):
        db.run(sql)
        assert kept.look() == 1


async def test_nobody_is_told_inside_a_transaction_what_others_have_changed(
    db: Database, other: Database
) -> None:
    kept = Kept(db)
    add(other, "a")
    with db.transaction():
        assert kept.look() == 0
    assert kept.look() == 1
