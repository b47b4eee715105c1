"""The supervisor in trouble: a bucket that goes, processes that are killed, a full hot set."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pds.replication.errors import ReplicaInUse
from pds.replication.replica import names
from pds.replication.replica.lease import LeaseTimes
from pds.replication.replica.lease_file import LeaseFile
from tests.e2e.soak import at_length_only
from tests.pds.replication.real_litestream import restore_file
from tests.pds.replication.replica.conftest import running_sftp_server
from tests.pds.replication.small_server import SmallServer, did_of, values_in
from tests.pds.replication.supervised import all_synced, options_of, running
from tests.processes import clean_environment
from tests.seaweedfs import SeaweedFs

_ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture
def server(tmp_path: Path) -> SmallServer:
    return SmallServer.make(tmp_path / "data", accounts=30)


@pytest.fixture
def own_seaweedfs(
    tmp_path: Path,
    quick_s3_retries: None,
) -> Iterator[SeaweedFs]:
    """A server that the test may stop."""
    directory = tmp_path / "weed"
    directory.mkdir()
    made = SeaweedFs.start(directory)
    yield made
    made.kill()


async def bucket_url(seaweedfs: SeaweedFs, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a new bucket, with its credentials in the environment."""
    bucket = (await seaweedfs.create_bucket()).bucket
    for name, value in seaweedfs.credentials.items():
        monkeypatch.setenv(name, value)
    return seaweedfs.replica_url(bucket)


async def test_a_bucket_gets_everything(
    server: SmallServer, seaweedfs: SeaweedFs, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(options_of(server, await bucket_url(seaweedfs, monkeypatch))) as made:
        await made.until(all_synced)
        for number in range(20):
            server.write(did_of(number), f"value {number}")
        await made.end()
        assert made.values(did_of(0)) == ['"value 0"']
        assert made.values(did_of(19)) == ['"value 19"']
        assert made.values(did_of(25)) == []


@at_length_only
async def test_an_ssh_server_gets_everything(server: SmallServer, tmp_path: Path) -> None:
    (tmp_path / "ssh").mkdir()
    async with running_sftp_server(tmp_path / "ssh") as ssh:
        options = dataclasses.replace(options_of(server, ssh.url("replica")), hot_set=1_000)
        async with running(options) as made:
            status = await made.until(all_synced)
            assert status.actors.hot_set == 200
            server.write(did_of(0), "value")
            await made.end()
        root = f"file://{ssh.directory}/replica"
        found = await asyncio.to_thread(
            restore_file, f"{root}/{names.actor_database(did_of(0))}", tmp_path / "restored.sqlite"
        )
        assert values_in(found) == ['"value"']


@at_length_only
async def test_a_bucket_that_comes_back_is_caught_up_with(
    server: SmallServer, own_seaweedfs: SeaweedFs, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = dataclasses.replace(
        options_of(server, await bucket_url(own_seaweedfs, monkeypatch)),
        sync_s=2.0,
        # Litestream's own next try for the service databases comes late.
        final_sync_s=0.5,
        daemons_stop_s=0.5,
    )
    async with running(options) as made:
        await made.until(all_synced)
        server.write(did_of(0), "before")
        await made.until(lambda status: status.totals.syncs > 30 and not status.actors.dirty)
        own_seaweedfs.kill()
        for number in range(30):
            server.write(did_of(number), "in the outage")
        status = await made.until(lambda status: status.state == "unreachable")
        assert status.actors.dirty == 30
        before = await made.until(
            lambda status: status.totals.failed_syncs > 0 and not status.actors.hot
        )
        status = await made.until(lambda status: status.written_s > before.written_s + 2)
        # One actor at a time is tried at most, however many are waiting.
        assert status.totals.failed_syncs - before.totals.failed_syncs <= 4
        assert status.actors.hot <= 1
        own_seaweedfs.start_again()
        await made.until(all_synced)
        await made.end()
        assert made.values(did_of(0)) == ['"before"', '"in the outage"']
        assert made.values(did_of(29)) == ['"in the outage"']


@at_length_only
async def test_a_start_waits_for_a_bucket_that_does_not_answer(
    server: SmallServer, own_seaweedfs: SeaweedFs, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = await bucket_url(own_seaweedfs, monkeypatch)
    own_seaweedfs.kill()
    async with running(options_of(server, url)) as made:
        status = await made.until(lambda status: status.state == "unreachable")
        assert status.last_error
        # Nor does a stop wait for it.
        await made.end()
    async with running(options_of(server, url)) as made:
        await made.until(lambda status: status.state == "unreachable")
        own_seaweedfs.start_again()
        await made.until(all_synced)
        await made.end()


@at_length_only
async def test_a_stop_while_nothing_answers_takes_no_longer_than_it_may(
    server: SmallServer, own_seaweedfs: SeaweedFs, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = dataclasses.replace(
        options_of(server, await bucket_url(own_seaweedfs, monkeypatch)),
        lease=LeaseTimes(renew_s=0.5, settle_s=0.05, release_s=0.5),
        final_sync_s=0.5,
        daemons_stop_s=0.5,
    )
    async with running(options) as made:
        await made.until(all_synced)
        own_seaweedfs.kill()
        for number in range(30):
            server.write(did_of(number), "in the outage")
        await made.until(lambda status: status.state == "unreachable")
        async with asyncio.timeout(15):
            await made.end()
    own_seaweedfs.start_again()
    async with running(made.options) as again:
        await again.until(lambda status: all_synced(status) and status.totals.sweeps > 0)
        await again.end()
        assert again.values(did_of(7)) == ['"in the outage"']


async def test_daemons_that_are_killed_are_started_again(
    server: SmallServer, tmp_path: Path
) -> None:
    async with running(options_of(server, tmp_path / "replica")) as made:
        status = await made.until(all_synced)
        for daemon in status.daemons:
            assert daemon.pid is not None
            os.kill(daemon.pid, signal.SIGKILL)
        for number in range(30):
            server.write(did_of(number), "after")
        status = await made.until(
            lambda status: (
                all_synced(status)
                and all(daemon.pid and daemon.restarts == 1 for daemon in status.daemons)
            )
        )
        await made.end()
        assert made.values(did_of(3)) == ['"after"']


async def test_a_supervisor_killed_at_any_time_loses_nothing(
    server: SmallServer, tmp_path: Path
) -> None:
    options = options_of(server, tmp_path / "replica")
    for number in range(3):
        process = start_supervisor(server, tmp_path / "replica")
        try:
            for account in range(30):
                server.write(did_of(account), f"{number}")
                await asyncio.sleep(0.02 * number)
        finally:
            process.kill()
            process.wait()
    async with running(options) as made:
        await made.until(lambda status: all_synced(status) and status.totals.sweeps > 0)
        await made.end()
        for account in range(0, 30, 7):
            assert made.values(did_of(account)) == ['"0"', '"1"', '"2"']


async def test_a_lease_that_another_takes_ends_the_supervisor(
    server: SmallServer, tmp_path: Path
) -> None:
    replica = tmp_path / "replica"
    lease_times = LeaseTimes(renew_s=0.1, settle_s=0.01)
    options = dataclasses.replace(options_of(server, replica), lease=lease_times)
    async with running(options) as made:
        await made.until(all_synced)
        lease = LeaseFile.decode((replica / "lease.json").read_bytes())
        (replica / "lease.json").write_bytes(dataclasses.replace(lease, run_id="other").encode())
        with pytest.raises(ReplicaInUse, match="another supervisor"):
            await made.task
        status = made.status()
        assert status is not None
        assert status.state == "failed"


_PROGRAM = """
import asyncio, sys
from pathlib import Path
from pds.replication.supervising.supervisor import run_supervisor
from tests.pds.replication.small_server import SmallServer
from tests.pds.replication.supervised import options_of
server = SmallServer(Path(sys.argv[1]))
asyncio.run(run_supervisor(options_of(server, Path(sys.argv[2])), asyncio.Event()))
"""


def start_supervisor(server: SmallServer, replica: Path) -> subprocess.Popen[bytes]:
    """A supervisor in a process of its own."""
    return subprocess.Popen(  # noqa: S603 (our own program)
        [sys.executable, "-c", _PROGRAM, str(server.directory), str(replica)],
        env=clean_environment({"PYTHONPATH": str(_ROOT)}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
