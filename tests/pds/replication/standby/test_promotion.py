"""A standby that takes the replica from its primary."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from pds.replication.errors import ReplicaInUse
from pds.replication.ledger.ledger import Ledger
from pds.replication.replica.file_place import FilePlace
from pds.replication.replica.lease import LeaseTimes
from pds.replication.restore.target import LEDGER
from pds.replication.standby.promotion import PrimaryRuns, own_files, take_over
from tests.pds.replication.small_server import SmallServer, did_of
from tests.pds.replication.standby.kit import (
    Follower,
    delete_account,
    following,
    make_server,
    written_to,
)
from tests.pds.replication.supervised import all_synced, options_of, running

PATIENT = LeaseTimes(renew_s=0.5, stale_s=60.0, watch_every_s=0.05, settle_s=0.05)
"""Those of the supervisor, and of who waits for it however slow the machine is."""
QUICK = replace(PATIENT, renew_s=0.1, stale_s=0.3)


@pytest.fixture
def server(tmp_path: Path) -> SmallServer:
    return make_server(tmp_path / "data", 30)


async def promote(
    follower: Follower, replica: Path, *, times: LeaseTimes = QUICK, by_force: bool = False
) -> None:
    """Stop following, and take over."""
    follower.task.cancel()
    await asyncio.gather(follower.task, return_exceptions=True)
    await take_over(
        follower.standby,
        FilePlace(replica),
        follower.state,
        by_force=by_force,
        times=times,
        tell=lambda _: None,
    )
    own_files(follower.target, follower.state)


async def test_the_newest_of_the_replica_is_applied_and_the_old_server_refused(
    server: SmallServer, tmp_path: Path
) -> None:
    replica = tmp_path / "replica"
    options = options_of(server, replica)
    async with running(options) as made:
        await made.until(all_synced)
        async with following(replica, tmp_path / "to") as follower:
            await follower.until_same(server)
            follower.task.cancel()
            for number in range(10):
                server.write(did_of(number), "at last")
            delete_account(server, did_of(20))
            server.create(did_of(600))
            server.write(did_of(600), "new")
            await made.until(lambda status: status.actors.deleted == 1)
            await made.end()
            await promote(follower, replica)
            assert [follower.values(did) for did in server.dids] == [
                written_to(server, did) for did in server.dids
            ]
            assert follower.values(did_of(20)) is None
            assert not follower.target.layout.key(did_of(20)).exists()
            assert follower.target.layout.key(did_of(600)).exists()
    with pytest.raises(ReplicaInUse, match="a standby has taken the place"):
        async with running(options) as made:
            await made.task


async def test_accounts_of_which_the_ledger_does_not_tell_yet_are_found(
    server: SmallServer, tmp_path: Path
) -> None:
    """The primary has died between the upload of an account and that of its ledger."""
    replica = tmp_path / "replica"
    async with running(options_of(server, replica)) as made:
        await made.until(all_synced)
        async with following(replica, tmp_path / "to") as follower:
            await follower.until_same(server)
            follower.task.cancel()
            known = set((replica / LEDGER).rglob("*.ltx"))
            server.write(did_of(1), "of which the ledger knows nothing")
            await made.until(lambda _: made.values(did_of(1)) != [])
            await made.end()
            for path in set((replica / LEDGER).rglob("*.ltx")) - known:
                path.unlink()
            await promote(follower, replica)
            assert follower.values(did_of(1)) == ["of which the ledger knows nothing"]


async def test_a_primary_that_replicates_stays_unless_it_is_forced_out(
    server: SmallServer, tmp_path: Path
) -> None:
    replica = tmp_path / "replica"
    async with running(replace(options_of(server, replica), lease=PATIENT)) as made:
        await made.until(all_synced)
        async with following(replica, tmp_path / "to") as follower:
            await follower.until_same(server)
            with pytest.raises(PrimaryRuns, match="--force"):
                await promote(follower, replica, times=PATIENT)
            assert not made.task.done()
            await promote(follower, replica, by_force=True)
            with pytest.raises(ReplicaInUse):
                await asyncio.wait_for(made.task, 30)


async def test_the_new_server_goes_on_with_the_replica_at_once(
    server: SmallServer, tmp_path: Path
) -> None:
    replica = tmp_path / "replica"
    async with running(options_of(server, replica)) as made:
        await made.until(all_synced)
        await made.end()
    async with following(replica, tmp_path / "to") as follower:
        await follower.until_same(server)
        await promote(follower, replica)
        # An interrupted promotion is typed again.
        await promote(follower, replica)
        promoted = SmallServer(follower.target.directory)
    ledger = Ledger.open(follower.target.services[LEDGER])
    server_id = ledger.server_id
    ledger.close()
    async with running(options_of(promoted, replica)) as made:
        status = await made.until(lambda status: status.state == "running")
        assert status.server_id == server_id
        promoted.write(did_of(2), "on the new one")
        await made.until(lambda _: made.values(did_of(2)) == ['"on the new one"'])
