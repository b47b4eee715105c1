"""Commits that are synced in groups: what is waited for and shared, and what a failure does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import apsw
import pytest

from database.checkpoints import Checkpointer
from database.connection import Database
from database.durability import Durability, GroupSync
from database.errors import DatabaseUnsynced
from database.opening import open_database
from tests.syncs import Disk


@pytest.fixture
async def durability(disk: Disk) -> AsyncIterator[GroupSync]:
    made = GroupSync()
    yield made
    await made.close()


@pytest.fixture
async def one(durability: GroupSync, tmp_path: Path) -> AsyncIterator[Database]:
    db = make(tmp_path / "one.sqlite", durability)
    yield db
    db.close()


@pytest.fixture
async def two(durability: GroupSync, tmp_path: Path) -> AsyncIterator[Database]:
    db = make(tmp_path / "two.sqlite", durability)
    yield db
    db.close()


def make(path: Path, durability: Durability) -> Database:
    db = open_database(path, durability=durability)
    db.run("CREATE TABLE t (x)")
    return db


def write(db: Database) -> None:
    with db.transaction():
        db.run("INSERT INTO t VALUES (1)")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 (of threads)
            await asyncio.sleep(0)


async def settled(durability: Durability, *databases: Database) -> None:
    durability.begin()
    for db in databases:
        write(db)
    await durability.settle()


async def test_whoever_writes_waits_for_its_own_syncs_only(
    durability: GroupSync, disk: Disk, one: Database, two: Database
) -> None:
    let_go = disk.hold("one")
    slow = asyncio.create_task(settled(durability, one))
    await until(lambda: disk.begun["one"] == 1)
    await settled(durability, two)
    await settled(durability)
    assert not slow.done()
    let_go()
    await slow


async def test_commits_gather_while_their_file_is_synced(
    durability: GroupSync, disk: Disk, one: Database
) -> None:
    let_go = disk.hold("one")
    first = asyncio.create_task(settled(durability, one))
    await until(lambda: disk.begun["one"] == 1)
    others = [asyncio.create_task(settled(durability, one)) for _ in range(20)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in (first, *others))
    let_go()
    await asyncio.gather(first, *others)
    assert disk.begun["one"] == 2
    assert (durability.counts.synced, durability.counts.commits) == (2, 21)


async def test_files_are_synced_at_the_same_time(
    durability: GroupSync, disk: Disk, one: Database, two: Database
) -> None:
    let_go = disk.hold("one"), disk.hold("two")
    writing = asyncio.create_task(settled(durability, one, two))
    await until(lambda: disk.begun == {"one": 1, "two": 1})
    assert not writing.done()
    for go in let_go:
        go()
    await writing


async def test_callbacks_come_in_order_once_all_before_them_is_durable(
    durability: GroupSync, disk: Disk, one: Database, two: Database
) -> None:
    called: list[str] = []
    let_go = disk.hold("one")
    write(one)
    durability.when_durable(lambda: called.append("first"))
    await until(lambda: disk.begun["one"] == 1)
    write(two)
    durability.when_durable(lambda: called.append("second"))
    await settled(durability, two)
    assert called == []
    let_go()
    await durability.settle_all()
    assert called == ["first", "second"]


async def test_a_cancelled_request_hinders_no_other(
    durability: GroupSync, disk: Disk, one: Database
) -> None:
    let_go = disk.hold("one")
    leaving, staying = (asyncio.create_task(settled(durability, one)) for _ in range(2))
    await until(lambda: disk.begun["one"] == 1)
    leaving.cancel()
    await asyncio.wait((leaving,))
    assert not staying.done()
    let_go()
    await staying


async def test_after_a_failed_sync_no_later_one_counts(
    durability: GroupSync, disk: Disk, one: Database, two: Database
) -> None:
    heard: list[Path] = []
    durability.on_failure(lambda database, _: heard.append(database))
    disk.failing = "one"
    with pytest.raises(DatabaseUnsynced, match=r"one\.sqlite: Input/output error"):
        await settled(durability, one)
    disk.failing = None
    with pytest.raises(DatabaseUnsynced):
        await settled(durability, one)
    await settled(durability, two)
    assert heard == [one.path]
    assert durability.failure_of(one.path) is not None
    assert durability.failure_of(two.path) is None


async def test_listeners_hear_of_a_failure_before_those_who_wait_go_on(
    durability: GroupSync, disk: Disk, one: Database
) -> None:
    told: list[str] = []
    durability.on_failure(lambda *_: told.append("failure"))
    disk.failing = "one"
    write(one)
    durability.when_durable(lambda: told.append("over"))
    with pytest.raises(DatabaseUnsynced):
        await durability.settle_all()
    assert told == ["failure", "over"]


async def test_a_thread_syncs_by_itself_and_its_failure_counts_too(
    durability: GroupSync, disk: Disk, one: Database
) -> None:
    await asyncio.to_thread(durability.sync_now, one.path)
    assert disk.begun["one"] == 1
    disk.failing = "one"
    with pytest.raises(DatabaseUnsynced):
        await asyncio.to_thread(durability.sync_now, one.path)
    await until(lambda: durability.failure_of(one.path) is not None)


async def test_a_start_reads_what_is_on_the_disk(
    durability: GroupSync, disk: Disk, one: Database, tmp_path: Path
) -> None:
    durability.take_from_disk(tmp_path / "missing.sqlite")
    durability.take_from_disk(one.path)
    assert disk.begun == {"one": 1}
    disk.failing = "one"
    with pytest.raises(DatabaseUnsynced):
        durability.take_from_disk(one.path)


async def test_closing_waits_for_what_is_due(disk: Disk, tmp_path: Path) -> None:
    durability = GroupSync()
    db = make(tmp_path / "one.sqlite", durability)
    write(db)
    db.close_at_once()
    await durability.close()
    await durability.close()
    assert disk.begun["one"] == 1


async def test_without_waiting_nothing_is_synced(disk: Disk, tmp_path: Path) -> None:
    durability, called = Durability(), list[int]()
    db = make(tmp_path / "one.sqlite", durability)
    await settled(durability, db)
    durability.when_durable(lambda: called.append(1))
    durability.sync_now(db.path)
    assert (called, disk.begun) == ([1], {})
    db.close()


class _Syncs(apsw.VFS):
    """Notes the order of writes and syncs of a database (`db`) and its WAL (`wal`)."""

    def __init__(self) -> None:
        self.done: list[str] = []
        super().__init__("syncs", "unix", makedefault=True)

    def xOpen(  # noqa: N802 (SQLite's)
        self, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> apsw.VFSFile:
        return _SyncsFile("wal" if flags[0] & apsw.SQLITE_OPEN_WAL else "db", self, name, flags)


class _SyncsFile(apsw.VFSFile):
    def __init__(
        self, kind: str, vfs: _Syncs, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> None:
        self._kind, self._vfs = kind, vfs
        super().__init__("unix", name, flags)

    def _note(self, what: str) -> None:
        if self._vfs.done[-1:] != [f"{what} {self._kind}"]:
            self._vfs.done.append(f"{what} {self._kind}")

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 (SQLite's)
        self._note("write")
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802 (SQLite's)
        self._note("sync")
        super().xSync(flags)


@pytest.mark.parametrize("checkpoint", ["of the server", "of another program"])
def test_a_commit_leaves_its_wal_for_a_synced_database_only(
    tmp_path: Path, checkpoint: str
) -> None:
    """What is not synced here may be overwritten in the WAL, but not before it is durable."""
    vfs = _Syncs()
    try:
        db = make(tmp_path / "one.sqlite", Durability())
        write(db)
        vfs.done.clear()
        if checkpoint == "of the server":
            checkpointer = Checkpointer()
            checkpointer.start(db.path)
            checkpointer.close()
        else:
            other = apsw.Connection(str(db.path))
            other.execute("PRAGMA schema_version")
            other.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
            other.close()
        assert vfs.done == ["sync wal", "write db", "sync db"]
        vfs.done.clear()
        write(db)
        # The header of a WAL that begins anew, and then the commit.
        assert vfs.done == ["write wal", "sync wal", "write wal"]
        db.close()
    finally:
        vfs.unregister()
