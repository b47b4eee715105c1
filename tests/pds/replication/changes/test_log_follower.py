"""Following an event log that comes, goes and changes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from database.opening import open_database
from pds.replication.changes.log_follower import PAGE, LogFollower
from sequencer import told
from tests.pds.replication.small_server import SmallServer, did_of


@pytest.fixture
def server(tmp_path: Path) -> SmallServer:
    return SmallServer.make(tmp_path / "data", accounts=0)


@pytest.fixture
def follower(server: SmallServer) -> Iterator[LogFollower]:
    follower = LogFollower(server.log)
    yield follower
    follower.close()


def test_events_tell_who_changed_and_when(server: SmallServer, follower: LogFollower) -> None:
    server.tell(did_of(1), did_of(2), did_of(1))
    found = follower.read(0)
    assert found is not None
    assert list(found.changed) == [did_of(1), did_of(2)]
    assert (found.cursor, found.events, found.is_full) == (3, 3, False)
    assert follower.read(3) is None
    server.tell(did_of(3))
    found = follower.read(3)
    assert found is not None
    assert list(found.changed) == [did_of(3)]


def test_what_was_not_taken_is_told_again(server: SmallServer, follower: LogFollower) -> None:
    server.tell(did_of(1))
    assert follower.read(0) == follower.read(0) is not None
    assert follower.read(1) is None
    assert follower.read(0) is not None


def test_the_first_look_is_at_the_end(server: SmallServer, follower: LogFollower) -> None:
    server.tell(did_of(1), did_of(2))
    found = follower.read(None)
    assert found is not None
    assert (found.changed, found.cursor, found.may_lack) == ({}, 2, True)


def test_events_that_were_deleted_before_they_were_read_may_lack(
    server: SmallServer, follower: LogFollower
) -> None:
    server.tell(did_of(1), did_of(2), did_of(3))
    with closing(open_database(server.log)) as db, db.transaction():
        db.script(told.SCHEMA)
        db.run("DELETE FROM repo_seq WHERE seq <= 2")
        told.save(db, {}, deleted_seq=2)
    found = follower.read(1)
    assert found is not None
    assert (found.changed, found.cursor, found.may_lack) == ({}, 3, True)
    found = follower.read(2)
    assert found is not None
    assert (list(found.changed), found.may_lack) == ([did_of(3)], False)


def test_long_logs_come_in_pages(server: SmallServer, follower: LogFollower) -> None:
    server.tell(*(did_of(number) for number in range(PAGE + 1)))
    found = follower.read(0)
    assert found is not None
    assert (len(found.changed), found.cursor, found.is_full) == (PAGE, PAGE, True)
    found = follower.read(PAGE)
    assert found is not None
    assert (len(found.changed), found.is_full) == (1, False)


def test_a_missing_log_has_nothing_and_is_no_error(
    server: SmallServer, follower: LogFollower
) -> None:
    for path in server.directory.glob("sequencer.sqlite*"):
        path.unlink()
    assert follower.read(0) is None
    assert follower.last_error is None


def test_a_log_that_was_replaced_is_read_from_its_end(
    server: SmallServer, follower: LogFollower, tmp_path: Path
) -> None:
    server.tell(did_of(1), did_of(2))
    assert follower.read(0) is not None
    other = SmallServer.make(tmp_path / "other", accounts=0)
    other.tell(did_of(3))
    for path in server.directory.glob("sequencer.sqlite*"):
        path.unlink()
    for path in other.directory.glob("sequencer.sqlite*"):
        path.rename(server.directory / path.name)
    found = follower.read(2)
    assert found is not None
    assert (found.changed, found.cursor, found.may_lack) == ({}, 1, True)
    server.tell(did_of(4))
    found = follower.read(1)
    assert found is not None
    assert list(found.changed) == [did_of(4)]


def test_a_locked_or_damaged_log_is_tried_again(server: SmallServer, follower: LogFollower) -> None:
    server.tell(did_of(1))
    data = server.log.read_bytes()
    server.log.write_bytes(b"noise" * 5_000)
    assert follower.read(0) is None
    assert follower.last_error is not None
    server.log.write_bytes(data)
    assert follower.read(0) is not None
    assert follower.last_error is None


def test_a_writer_is_not_in_the_way(server: SmallServer, follower: LogFollower) -> None:
    server.tell(did_of(1))
    with closing(sqlite3.connect(server.log, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        assert follower.read(0) is not None
        db.execute("ROLLBACK")


def test_times_that_cannot_be_are_now(server: SmallServer, follower: LogFollower) -> None:
    server.tell(did_of(1), did_of(2))
    with closing(sqlite3.connect(server.log)) as db, db:
        db.execute("UPDATE repo_seq SET sequencedAt = 'no time' WHERE seq = 1")
        db.execute("UPDATE repo_seq SET sequencedAt = '2999-01-01T00:00:00.000Z' WHERE seq = 2")
    found = follower.read(0)
    assert found is not None
    first, second = found.changed.values()
    assert first == second < 32_000_000_000_000
