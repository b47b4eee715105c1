"""Sweeps: what the files tell that the ledger does not know."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from pds.replication.changes.file_sweep import FileSweep, Found
from pds.replication.changes.signature import look_at
from pds.replication.ledger.actor_rows import shard_of
from pds.replication.ledger.rows import SweptRow
from tests.pds.replication.small_server import SmallServer, did_of


@pytest.fixture
def server(tmp_path: Path) -> SmallServer:
    return SmallServer.make(tmp_path / "data", accounts=20)


class Sweeper:
    """Sweeps against rows in memory."""

    def __init__(self, server: SmallServer) -> None:
        self.server = server
        self.rows: dict[str, SweptRow] = {}
        self.opened: dict[str, int] = {}
        self.found: list[Found] = []

    def know_all(self) -> None:
        """Take all that is there as synced."""
        self.rows = {did: SweptRow(self.signature(did), False, False) for did in self.server.dids}

    def signature(self, did: str) -> int:
        seen = look_at(str(self.server.layout.store(did)))
        assert seen is not None
        return seen.signature

    async def run(self) -> int:
        def rows(shard: int) -> Mapping[str, SweptRow]:
            return {did: row for did, row in self.rows.items() if shard_of(did) == shard}

        async def report(found: Found) -> None:
            self.found.append(found)

        self.found.clear()
        sweep = FileSweep(
            self.server.layout.actors_dir,
            rows=rows,
            open_inode=self.opened.get,
            report=report,
        )
        return await sweep.run(0.0)

    def all(self, kind: str) -> set[str]:
        """The DIDs of one kind of findings."""
        return {
            each if isinstance(each, str) else each[0]
            for found in self.found
            for each in getattr(found, kind)
        }


@pytest.fixture
def sweeper(server: SmallServer) -> Sweeper:
    return Sweeper(server)


async def test_all_is_new_to_an_empty_ledger(sweeper: Sweeper) -> None:
    assert await sweeper.run() == 20
    assert sweeper.all("new") == set(sweeper.server.dids)


async def test_nothing_is_told_of_what_is_known(sweeper: Sweeper) -> None:
    sweeper.know_all()
    assert await sweeper.run() == 20
    assert sweeper.found == []


async def test_changes_additions_and_deletions_are_found(sweeper: Sweeper) -> None:
    sweeper.know_all()
    sweeper.server.write(did_of(1), "x", event=False)
    sweeper.server.delete(did_of(2))
    sweeper.server.create(did_of(99))
    await sweeper.run()
    assert sweeper.all("changed") == {did_of(1)}
    assert sweeper.all("gone") == {did_of(2)}
    assert sweeper.all("new") == {did_of(99)}


async def test_those_that_are_dirty_already_are_left_alone(sweeper: Sweeper) -> None:
    sweeper.rows = {did: SweptRow(None, True, False) for did in sweeper.server.dids}
    await sweeper.run()
    assert sweeper.found == []


async def test_open_ones_are_only_checked_for_being_the_same_file(sweeper: Sweeper) -> None:
    sweeper.know_all()
    for did in (did_of(1), did_of(2)):
        sweeper.server.write(did, "x", event=False)
        sweeper.opened[did] = sweeper.server.layout.store(did).stat().st_ino
    sweeper.opened[did_of(2)] += 1
    await sweeper.run()
    assert sweeper.all("changed") == set()
    assert sweeper.all("replaced") == {did_of(2)}


async def test_one_that_came_back_is_found_even_if_it_looks_the_same(sweeper: Sweeper) -> None:
    sweeper.know_all()
    sweeper.rows[did_of(3)] = SweptRow(sweeper.signature(did_of(3)), False, deleted=True)
    await sweeper.run()
    assert sweeper.all("changed") == {did_of(3)}


async def test_an_unmounted_disk_deletes_nobody(sweeper: Sweeper, tmp_path: Path) -> None:
    sweeper.know_all()
    actors = sweeper.server.layout.actors_dir
    actors.rename(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="is its disk mounted"):
        await sweeper.run()
    actors.mkdir()
    with pytest.raises(OSError, match="is its disk mounted"):
        await sweeper.run()
    assert sweeper.all("gone") == set()


async def test_even_the_last_accounts_can_be_deleted(sweeper: Sweeper) -> None:
    sweeper.know_all()
    for did in sweeper.server.dids:
        sweeper.server.delete(did)
    assert await sweeper.run() == 0
    assert sweeper.all("gone") == {did_of(number) for number in range(20)}


async def test_a_server_without_accounts_is_no_error(sweeper: Sweeper) -> None:
    for did in sweeper.server.dids:
        sweeper.server.delete(did)
    for directory in sweeper.server.layout.actors_dir.iterdir():
        directory.rmdir()
    sweeper.server.layout.actors_dir.rmdir()
    assert await sweeper.run() == 0


async def test_odd_entries_are_passed_over(sweeper: Sweeper) -> None:
    sweeper.know_all()
    actors = sweeper.server.layout.actors_dir
    (actors / "reserved_keys").mkdir()
    (actors / "00").mkdir(exist_ok=True)
    (actors / "00" / "notes.txt").write_text("x")
    (actors / "00" / "did:plc:withoutstore").mkdir()
    assert await sweeper.run() == 20
    assert sweeper.found == []


def test_a_checkpoint_is_no_change(server: SmallServer) -> None:
    server.write(did_of(1), "x", event=False)
    store = server.layout.store(did_of(1))
    before = look_at(str(store))
    os.utime(store)
    after = look_at(str(store))
    assert before is not None
    assert after is not None
    assert before.signature == after.signature


def test_each_write_changes_the_signature(server: SmallServer) -> None:
    store = str(server.layout.store(did_of(1)))
    seen = [look_at(store)]
    for number in range(5):
        server.write(did_of(1), f"{number}", event=False)
        seen.append(look_at(store))
    assert len({each.signature for each in seen if each is not None}) == 6


def test_another_file_is_a_change(server: SmallServer) -> None:
    one, two = (server.layout.store(did_of(number)) for number in (1, 2))
    os.utime(one, ns=(1, 1))
    os.utime(two, ns=(1, 1))
    first, second = look_at(str(one)), look_at(str(two))
    assert first is not None
    assert second is not None
    assert first.signature != second.signature


def test_files_that_are_just_being_written_are_uncertain(server: SmallServer) -> None:
    store = server.layout.store(did_of(1))
    os.utime(store, ns=(time.time_ns(), time.time_ns()))
    fresh = look_at(str(store))
    os.utime(store, ns=(1, time.time_ns() - 10**9))
    old = look_at(str(store))
    assert fresh is not None
    assert old is not None
    assert (fresh.is_certain, old.is_certain) == (False, True)
    assert look_at(str(store.with_name("nothing"))) is None
