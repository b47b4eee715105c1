"""Changes that share a transaction: committed together, and none suffers from another."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from database import retry
from database.connection import Database
from database.durability import Durability
from database.errors import ConstraintViolated, DatabaseBusy
from database.opening import open_database
from database.shared_writes import SharedWrites


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    with closing(open_database(tmp_path / "a.sqlite")) as db:
        db.script("CREATE TABLE t (n INTEGER PRIMARY KEY CHECK (n < 100)) STRICT;")
        db.connection.set_busy_timeout(0)
        yield db


@pytest.fixture
def other(db: Database) -> Iterator[Database]:
    """A second connection, which sees only what is committed."""
    with closing(open_database(db.path)) as other:
        yield other


class Writer:
    """Adds numbers, and returns them doubled."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._writes = SharedWrites(db)

    async def add(self, number: int, *, lasting: bool = True) -> int:
        def change() -> int:
            self._db.run("INSERT INTO t VALUES (?)", (number,))
            return 2 * number

        return await self._writes.make(change, lasting=lasting)


def numbers(db: Database) -> list[int]:
    return [n for (n,) in db.all("SELECT n FROM t ORDER BY n")]


async def test_changes_of_one_step_are_one_transaction(db: Database) -> None:
    writer = Writer(db)
    assert await asyncio.gather(*map(writer.add, range(5))) == [0, 2, 4, 6, 8]
    assert (numbers(db), db.counts.committed) == ([0, 1, 2, 3, 4], 1)
    await writer.add(7)
    assert (numbers(db), db.counts.committed) == ([0, 1, 2, 3, 4, 7], 2)


async def test_nobody_goes_on_before_the_commit(db: Database, other: Database) -> None:
    writer, seen = Writer(db), []

    async def add_and_look(number: int) -> None:
        await writer.add(number)
        seen.append(numbers(other))

    await asyncio.gather(add_and_look(1), add_and_look(2))
    assert seen == [[1, 2], [1, 2]]


async def test_a_change_that_fails_takes_no_other_with_it(db: Database) -> None:
    writer = Writer(db)
    outcomes = await asyncio.gather(*map(writer.add, [1, 200, 2, 1]), return_exceptions=True)
    assert (outcomes[0], outcomes[2]) == (2, 4)
    assert [type(outcome) for outcome in outcomes[1::2]] == [ConstraintViolated] * 2
    assert numbers(db) == [1, 2]


async def test_a_caller_who_has_given_up_changes_nothing(db: Database) -> None:
    writer = Writer(db)
    given_up = asyncio.ensure_future(writer.add(1))
    kept = asyncio.ensure_future(writer.add(2))
    await asyncio.sleep(0)
    given_up.cancel()
    assert await kept == 4
    assert numbers(db) == [2]


async def test_changes_wait_for_a_busy_file(db: Database, other: Database) -> None:
    writer = Writer(db)
    with other.transaction():
        waiting = asyncio.gather(writer.add(1), writer.add(2))
        await asyncio.sleep(0.01)
        assert not waiting.done()
    assert list(await waiting) == [2, 4]
    assert numbers(other) == [1, 2]


async def test_a_file_that_stays_busy_is_an_error(
    db: Database, other: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "DELAYS_MS", (1, 1))
    with other.transaction(), pytest.raises(DatabaseBusy):
        await Writer(db).add(1)


async def test_whoever_asks_for_a_lasting_change_waits_until_it_is_durable(tmp_path: Path) -> None:
    notes = Notes()
    with closing(open_database(tmp_path / "b.sqlite", durability=notes)) as db:
        db.script("CREATE TABLE t (n INTEGER PRIMARY KEY) STRICT;")
        writer = Writer(db)
        passing = asyncio.ensure_future(writer.add(0, lasting=False))
        lasting = {asyncio.ensure_future(writer.add(number)) for number in (1, 2)}
        await asyncio.gather(passing, *lasting)
    assert {task for task in notes.tasks if task is not None} == lasting


class Notes(Durability):
    """Remembers which tasks have noted a commit."""

    def __init__(self) -> None:
        super().__init__()
        self.tasks: set[asyncio.Task[Any] | None] = set()

    def note(self, database: Path) -> None:
        self.tasks.add(asyncio.current_task())
