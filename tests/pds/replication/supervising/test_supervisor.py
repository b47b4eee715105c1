"""The whole supervisor: from a data directory to a replica, through stops, kills and outages."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from pds.replication.errors import ForeignReplica, ReplicaInUse, WrongKeySecret
from pds.replication.ledger.ledger import Ledger
from pds.replication.options import SealingOptions
from pds.replication.replica import names
from pds.replication.status import read_status
from pds.replication.supervising.supervisor import run_supervisor
from tests.pds.replication.real_litestream import restore_file
from tests.pds.replication.small_server import SmallServer, did_of
from tests.pds.replication.supervised import all_synced, options_of, running


@pytest.fixture
def server(tmp_path: Path) -> SmallServer:
    return SmallServer.make(tmp_path / "data", accounts=30)


async def test_a_server_reaches_the_replica_and_its_last_changes_do_at_the_stop(
    server: SmallServer, tmp_path: Path
) -> None:
    replica = tmp_path / "replica"
    async with running(options_of(server, replica)) as made:
        status = await made.until(all_synced)
        assert {database.name for database in status.databases} == {
            *("account.sqlite", "sequencer.sqlite", "did_cache.sqlite", "replication.sqlite"),
        }
        assert [daemon.pid is not None for daemon in status.daemons] == [True, True]
        for number in range(20):
            server.write(did_of(number), f"value {number}")
        await made.end()
        assert [made.values(did_of(number)) for number in range(20)] == [
            [f'"value {number}"'] for number in range(20)
        ]
        last = made.status()
        assert last is not None
        assert (last.state, last.last_error) == ("stopped", None)
        assert not last.is_alive
        assert (replica / names.actor_key(did_of(0))).read_bytes() == server.layout.key(
            did_of(0)
        ).read_bytes()
        ledger = restore_file(f"file://{replica}/replication.sqlite", tmp_path / "ledger.sqlite")
        known = Ledger.open(ledger)
        assert known.actors.counts().dirty == 0
        assert known.actors.counts().rows == 30
        known.close()


async def test_a_supervisor_that_is_cut_off_loses_nothing(
    server: SmallServer, tmp_path: Path
) -> None:
    options = options_of(server, tmp_path / "replica")
    async with running(options) as made:
        await made.until(all_synced)
        for number in range(20):
            server.write(did_of(number), "before")
    server.write(did_of(1), "between")
    server.write(did_of(2), "quietly between", event=False)
    async with running(options) as made:
        await made.until(lambda status: all_synced(status) and status.totals.sweeps > 0)
        await made.end()
        assert made.values(did_of(0)) == ['"before"']
        assert made.values(did_of(1)) == ['"before"', '"between"']
        assert made.values(did_of(2)) == ['"before"', '"quietly between"']


async def test_a_stop_sends_what_has_changed_without_an_event(
    server: SmallServer, tmp_path: Path
) -> None:
    options = replace(options_of(server, tmp_path / "replica"), sweep_interval_s=20.0)
    async with running(options) as made:
        await made.until(lambda status: all_synced(status) and status.totals.sweeps > 0)
        server.write(did_of(3), "quietly", event=False)
        await made.end()
        assert made.values(did_of(3)) == ['"quietly"']


async def test_a_lost_ledger_costs_no_upload(server: SmallServer, tmp_path: Path) -> None:
    options = options_of(server, tmp_path / "replica")
    async with running(options) as made:
        await made.until(all_synced)
        await made.end()
    before = files_of_actors(tmp_path / "replica")
    for path in server.directory.glob("replication.sqlite*"):
        path.unlink()
    async with running(options) as made:
        await made.until(all_synced)
        await made.end()
    assert files_of_actors(tmp_path / "replica") == before


async def test_a_second_supervisor_is_refused(server: SmallServer, tmp_path: Path) -> None:
    options = options_of(server, tmp_path / "replica")
    async with running(options) as made:
        await made.until(all_synced)
        with pytest.raises(ReplicaInUse, match="is being replicated already"):
            await run_supervisor(options, asyncio.Event())


async def test_the_replica_of_another_server_is_refused(
    server: SmallServer, tmp_path: Path
) -> None:
    options = options_of(server, tmp_path / "replica")
    async with running(options) as made:
        await made.until(all_synced)
        await made.end()
    with pytest.raises(ForeignReplica):
        await run_supervisor(replace(options, service_did="did:web:other"), asyncio.Event())
    status = read_status(options.status_file)
    assert status is not None
    assert status.state == "failed"
    assert "did:web:other" in str(status.last_error)


async def test_keys_in_the_clear_need_insistence(server: SmallServer, tmp_path: Path) -> None:
    options = replace(options_of(server, tmp_path / "replica"), sealing=SealingOptions())
    with pytest.raises(WrongKeySecret, match="PDS_REPLICATION_KEY_PASSPHRASE"):
        await run_supervisor(options, asyncio.Event())


async def test_another_replica_gets_everything(server: SmallServer, tmp_path: Path) -> None:
    async with running(options_of(server, tmp_path / "one")) as made:
        await made.until(all_synced)
        await made.end()
    server.write(did_of(3), "later")
    async with running(options_of(server, tmp_path / "two")) as made:
        await made.until(all_synced)
        await made.end()
        assert made.values(did_of(3)) == ['"later"']
        assert made.values(did_of(4)) == []
    assert files_of_actors(tmp_path / "two").keys() >= files_of_keys(tmp_path / "one")


def files_of_actors(replica: Path) -> dict[str, bytes]:
    """The files of all actors' databases and keys."""
    root = replica / "actors"
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def files_of_keys(replica: Path) -> set[str]:
    return {name for name in files_of_actors(replica) if name.endswith("key")}
