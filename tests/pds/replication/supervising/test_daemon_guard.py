"""Litestream while nothing may be written: without the replica's disk, and without its lease."""

from __future__ import annotations

import dataclasses
import shutil
import time
from pathlib import Path

import pytest

from pds.replication.replica.lease import LeaseTimes
from pds.replication.replica.names import LEASE
from pds.replication.status import ReplicationStatus
from tests.pds.replication.litestream.daemons import is_running
from tests.pds.replication.small_server import SmallServer, did_of
from tests.pds.replication.supervised import all_synced, options_of, running


@pytest.fixture
def server(tmp_path: Path) -> SmallServer:
    return SmallServer.make(tmp_path / "data", accounts=30)


def unmount(replica: Path) -> None:
    """Leave an empty directory, as an unmounted disk does."""
    replica.rename(replica.with_name("disk"))
    replica.mkdir()


def mount(replica: Path) -> None:
    """Bring the disk back, over whatever was written below."""
    shutil.rmtree(replica)
    replica.with_name("disk").rename(replica)


def files_below(directory: Path) -> set[Path]:
    return {path for path in directory.rglob("*") if path.is_file()}


def litestream_waits(status: ReplicationStatus) -> bool:
    return all(each.pid is None for each in status.daemons)


async def test_without_its_disk_nothing_goes_to_the_mount_point_and_nothing_is_lost(
    server: SmallServer, tmp_path: Path
) -> None:
    replica = tmp_path / "replica"
    async with running(options_of(server, replica)) as made:
        await made.until(all_synced)
        server.write(did_of(0), "before")
        await made.until(all_synced)
        unmount(replica)
        for number in range(20):
            server.write(did_of(number), "meanwhile")
        # Litestream, which is killed, may be the first to tell of something.
        status = await made.until(
            lambda status: (
                status.state == "unreachable"
                and "see that its disk is mounted" in str(status.last_error)
            )
        )
        await made.until(litestream_waits)
        before = files_below(replica)
        server.write(did_of(21), "later")
        sweeps = status.totals.sweeps + 1
        await made.until(lambda status: status.totals.sweeps > sweeps)
        assert files_below(replica) == before
        mount(replica)
        await made.until(all_synced)
        await made.end()
        assert made.values(did_of(0)) == ['"before"', '"meanwhile"']
        assert [made.values(did_of(number)) for number in range(1, 20)] == [['"meanwhile"']] * 19
        assert made.values(did_of(21)) == ['"later"']


async def test_without_its_lease_nothing_is_sent_until_it_is_renewed(
    server: SmallServer, tmp_path: Path
) -> None:
    replica = tmp_path / "replica"
    lease, aside = replica / LEASE, tmp_path / "lease"
    times = LeaseTimes(renew_s=0.1, retry_s=0.1, held_s=2.0, settle_s=0.05)
    options = dataclasses.replace(options_of(server, replica), lease=times)
    async with running(options) as made:
        await made.until(all_synced)
        lease.rename(aside)
        # A directory in its place cannot be renewed, while all else can be written.
        lease.mkdir()
        status = await made.until(litestream_waits)
        assert status.state == "unreachable"
        before = files_below(replica)
        server.write(did_of(0), "meanwhile")
        status = await made.until(lambda status: status.actors.dirty > 0)
        sweeps = status.totals.sweeps + 1
        await made.until(lambda status: status.totals.sweeps > sweeps)
        assert files_below(replica) == before
        lease.rmdir()
        aside.rename(lease)
        await made.until(all_synced)
        await made.end()
        assert made.values(did_of(0)) == ['"meanwhile"']


async def test_litestream_ends_with_the_lease_although_its_supervisor_stands_still(
    server: SmallServer, tmp_path: Path
) -> None:
    times = LeaseTimes(renew_s=0.1, retry_s=0.1, held_s=2.0, ends_s=2.5, settle_s=0.05)
    options = dataclasses.replace(options_of(server, tmp_path / "replica"), lease=times)
    async with running(options) as made:
        status = await made.until(all_synced)
        pids = {each.pid for each in status.daemons if each.pid is not None}
        assert len(pids) == 2
        # This holds up the event loop of the supervisor as well.
        deadline = time.monotonic() + 20.0
        while any(map(is_running, pids)):
            assert time.monotonic() < deadline
            time.sleep(0.05)  # noqa: ASYNC251
        server.write(did_of(0), "meanwhile")
        await made.until(
            lambda status: (
                not litestream_waits(status)
                and pids.isdisjoint(each.pid for each in status.daemons)
            )
        )
        await made.until(all_synced)
        await made.end()
        assert made.values(did_of(0)) == ['"meanwhile"']
