"""What `pds replicate` and `pds restore` refuse: why, and what to do; the server goes on."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.forked import Zygote
from tests.e2e.replicated import LEFT_TO_LITESTREAM, Replicated, check_restored
from tests.e2e.soak import at_length_only
from tests.e2e.world import Stopped, World
from tests.seaweedfs import SeaweedFs


@pytest.fixture
async def replicated(world: World, forking: Zygote, tmp_path: Path) -> AsyncIterator[Replicated]:
    """A server that runs, and is not replicated yet."""
    world.start(**LEFT_TO_LITESTREAM)
    made = Replicated.in_directory(world, forking, tmp_path / "replica")
    yield made
    made.kill()


@pytest.fixture
async def running(replicated: Replicated) -> Replicated:
    """One whose replica has everything."""
    replicated.start()
    await replicated.until_all_is_copied()
    return replicated


async def expect_refusal(replicated: Replicated, *told: str, **env: str) -> None:
    """`pds replicate` ends with a message that has all of `told`; the server goes on."""
    done = await asyncio.to_thread(replicated.run, "replicate", "--to", replicated.url, **env)
    printed = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == 1, printed
    assert [text for text in told if text not in printed] == [], printed
    assert "Traceback" not in printed
    world = replicated.world
    status, _ = await world.try_to_create(world.alice, f"after-{len(printed)}")
    assert status == 200


async def check_that_it_goes_on(replicated: Replicated) -> None:
    """With what is right, everything is copied and comes back."""
    replicated.start()
    await replicated.until_all_is_copied()
    await check_restored(replicated)


@at_length_only
async def test_a_second_supervisor_of_the_same_server(running: Replicated) -> None:
    await expect_refusal(running, "already")
    assert not running.has_ended(0)


@at_length_only
async def test_a_supervisor_of_a_copy_of_the_server(
    running: Replicated, stopped: Stopped, tmp_path: Path
) -> None:
    """As after a move to another machine, where the old one still runs."""
    copy = tmp_path / "copy"
    await asyncio.to_thread(shutil.copytree, stopped.server.data, copy)
    args = ("replicate", "--to", running.url)
    done = await asyncio.to_thread(running.run, *args, PDS_DATA_DIRECTORY=str(copy))
    assert done.returncode == 1
    printed = " ".join(done.stderr.split())
    assert running.supervisor is not None
    assert f"process {running.supervisor.pid}" in printed
    assert "stop it, or replicate to another prefix or directory" in printed
    await running.until_all_is_copied()
    await check_restored(running)


@at_length_only
async def test_the_replica_of_another_server(running: Replicated) -> None:
    running.stop()
    await expect_refusal(
        running,
        "holds the replica of did:web:localhost, and this server is did:web:other.example",
        "replicate to another prefix or directory",
        PDS_SERVICE_DID="did:web:other.example",
    )
    await check_that_it_goes_on(running)


@at_length_only
async def test_another_passphrase(running: Replicated) -> None:
    running.stop()
    told = "PDS_REPLICATION_KEY_PASSPHRASE is not the passphrase of this replica"
    await expect_refusal(running, told, PDS_REPLICATION_KEY_PASSPHRASE="a wrong passphrase")
    to = running.data.with_name("restored")
    done = await asyncio.to_thread(
        lambda: running.restore(to, PDS_REPLICATION_KEY_PASSPHRASE="a wrong passphrase")
    )
    assert done.returncode == 1
    assert told in " ".join(done.stderr.split())
    # Nothing is left that would be in the way of the right one.
    await check_that_it_goes_on(running)


async def test_no_way_to_seal_keys(replicated: Replicated) -> None:
    await expect_refusal(
        replicated,
        "nothing says how signing keys are protected in the replica",
        "set PDS_REPLICATION_KEY_PASSPHRASE to the output of openssl rand --hex 16",
        PDS_REPLICATION_KEY_PASSPHRASE="",
    )


async def test_no_litestream(replicated: Replicated, tmp_path: Path) -> None:
    """In an environment whose Python and PATH have none."""
    done = await asyncio.to_thread(
        replicated.run_elsewhere, tmp_path, "replicate", "--to", replicated.url
    )
    assert done.returncode == 1
    printed = " ".join(done.stderr.split())
    assert "There is no program 'litestream'" in printed
    assert "pip install 'holdfast-pds[replication]'" in printed


@at_length_only
@pytest.mark.parametrize(
    ("env", "bucket", "told"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, None, "AWS_SECRET_ACCESS_KEY"),
        ({"AWS_ACCESS_KEY_ID": "wrong"}, None, "AWS_ACCESS_KEY_ID"),
        ({"AWS_ACCESS_KEY_ID": "read-only"}, None, "s3:PutObject"),
        ({}, "no-such-bucket", "create it"),
    ],
)
async def test_a_bucket_that_does_not_let_us(
    replicated: Replicated, seaweedfs: SeaweedFs, env: dict[str, str], bucket: str | None, told: str
) -> None:
    bucket = bucket or (await seaweedfs.create_bucket()).bucket
    replicated.url, replicated.env = seaweedfs.replica_url(bucket), seaweedfs.credentials
    if env.get("AWS_ACCESS_KEY_ID") == "read-only":
        env = {"AWS_ACCESS_KEY_ID": seaweedfs.read_only_key_id}
    await expect_refusal(replicated, told, **env)


@at_length_only
async def test_a_directory_that_is_not_there(replicated: Replicated, tmp_path: Path) -> None:
    """It may be mounted any moment, so this is waited for, and told."""
    replicated.url = f"file://{tmp_path}/not-there"
    replicated.start()
    status = await replicated.until(lambda status: status.state == "unreachable")
    assert f"mkdir -p {tmp_path}/not-there" in str(status.last_error)
    os.mkdir(tmp_path / "not-there")  # noqa: PTH102
    await replicated.until_all_is_copied()
    await check_restored(replicated)


async def test_a_server_that_makes_checkpoints_itself(replicated: Replicated) -> None:
    await expect_refusal(
        replicated,
        "The server makes checkpoints itself",
        "set PDS_REPLICATION_URL in the environment file of the server, restart it",
        PDS_SQLITE_DISABLE_WAL_AUTO_CHECKPOINT="false",
    )
