"""A WAL that began anew while Litestream was away: no change is missing from the replica."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from database.connection import Database
from database.opening import open_database
from pds.replication.errors import LitestreamFailed, Trouble
from pds.replication.litestream import continuity
from pds.replication.litestream.continuity import ensure_continuity
from pds.replication.litestream.daemon import LitestreamDaemon
from pds.replication.litestream.local_state import newest_file
from pds.replication.ltx.header import HEADER_BYTES, decode_header
from tests.pds.replication.litestream.daemons import make_database, restored, running

PAGES = 200


def held_open(database: Path) -> Database:
    """A connection that stays open, as the server's do, so that the WAL stays, too."""
    db = open_database(database, wal_autocheckpoint=None)
    db.run("CREATE TABLE page (id INTEGER PRIMARY KEY, value INTEGER, filling BLOB)")
    for page in range(PAGES):
        db.run("INSERT INTO page VALUES (?, 0, randomblob(4000))", (page,))
    return db


def change(db: Database, first: int, last: int) -> None:
    """Change some pages."""
    for page in range(first, last):
        db.run("UPDATE page SET value = value + 1 WHERE id = ?", (page,))


def begin_anew(db: Database) -> None:
    """Make a checkpoint as a server does by itself; the next write begins the WAL anew."""
    assert db.value("PRAGMA wal_checkpoint(PASSIVE)") == 0


def change_and_begin_anew(db: Database) -> None:
    change(db, 0, 100)
    begin_anew(db)
    # Not so much that the frame is overwritten at which Litestream has stopped.
    change(db, 100, 110)


def change_and_begin_anew_and_change_much(db: Database) -> None:
    change(db, 0, 100)
    begin_anew(db)
    for _ in range(20):
        change(db, 0, PAGES)


def begin_anew_and_change(db: Database) -> None:
    begin_anew(db)
    change(db, 100, 110)


def only_change(db: Database) -> None:
    change(db, 0, 100)


async def sync(daemon: LitestreamDaemon, database: Path, replica: Path) -> None:
    await daemon.client.register(database, f"file://{replica}")
    await daemon.client.sync(database, timeout_s=30)
    await daemon.client.unregister(database)


def values(database: Path) -> list[int]:
    with closing(open_database(database, wal_autocheckpoint=None)) as db:
        return [value for (value,) in db.all("SELECT value FROM page ORDER BY id")]


@pytest.mark.parametrize(
    ("changes", "sends_all"),
    [
        (change_and_begin_anew, True),
        # Nothing is missing there, which cannot be told.
        (begin_anew_and_change, True),
        # Litestream itself notices these.
        (change_and_begin_anew_and_change_much, False),
        (only_change, False),
    ],
)
async def test_changes_made_while_a_database_is_not_registered_are_sent(
    tmp_path: Path, changes: Callable[[Database], None], *, sends_all: bool
) -> None:
    database, replica = make_database(tmp_path / "data/n.sqlite"), tmp_path / "replica"
    async with running() as daemon:
        with closing(held_open(database)) as db:
            await sync(daemon, database, replica)
            changes(db)
            assert ensure_continuity(database) is sends_all
            await sync(daemon, database, replica)
            change(db, 150, 151)
            await sync(daemon, database, replica)
            restored(f"file://{replica}", tmp_path)
            assert values(tmp_path / "restored.sqlite") == values(database)


async def test_a_database_that_is_in_use_all_the_time_is_left_for_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, replica = make_database(tmp_path / "data/n.sqlite"), tmp_path / "replica"
    async with running() as daemon:
        with closing(held_open(database)) as db, closing(open_database(database)) as reader:
            await sync(daemon, database, replica)
            change_and_begin_anew(db)
            monkeypatch.setattr(continuity, "_WAIT_MS", 10)
            with reader.snapshot():
                reader.value("SELECT count(*) FROM page")
                with pytest.raises(LitestreamFailed, match="cannot be emptied"):
                    ensure_continuity(database)
            assert ensure_continuity(database)


async def test_what_litestream_knows_is_forgotten_on_demand(tmp_path: Path) -> None:
    database, replica = make_database(tmp_path / "data/n.sqlite"), tmp_path / "replica"
    async with running() as daemon:
        with closing(held_open(database)) as db:
            await sync(daemon, database, replica)
            change(db, 0, 1)
            assert newest_file(database) is not None
            assert ensure_continuity(database, anew=True)
            assert newest_file(database) is None
            await sync(daemon, database, replica)
            newest = max((replica / "ltx" / "0").iterdir())
            header = decode_header(newest.read_bytes()[:HEADER_BYTES], newest.name)
            restored(f"file://{replica}", tmp_path)
            assert newest.stat().st_size > PAGES * 4000
            assert header.first > 1
            assert values(tmp_path / "restored.sqlite") == values(database)


async def test_a_damaged_database_is_not_taken_for_a_busy_one(tmp_path: Path) -> None:
    database = tmp_path / "n.sqlite"
    database.write_bytes(b"noise" * 1000)
    with pytest.raises(LitestreamFailed) as failed:
        ensure_continuity(database, anew=True)
    assert failed.value.trouble is Trouble.DATABASE_DAMAGED


async def test_without_litestream_s_files_there_is_nothing_to_do(tmp_path: Path) -> None:
    database = make_database(tmp_path / "n.sqlite")
    with closing(held_open(database)):
        assert not ensure_continuity(database)
    assert not ensure_continuity(database)
