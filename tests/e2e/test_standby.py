"""A server with a standby that takes its place: what was written, and who may go on."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from random import Random

import pytest

from tests.e2e.promises import Client, sign_up
from tests.e2e.replicated import LEFT_TO_LITESTREAM
from tests.e2e.soak import at_length_only
from tests.e2e.standby import Pair, kill_litestream_of
from tests.e2e.test_restored_replica import check_with_doctor, copy_plc
from tests.e2e.world import World
from tests.processes import run_pds

pytestmark = at_length_only


@pytest.fixture
def pair(world: World, tmp_path: Path) -> Pair:
    (tmp_path / "replica").mkdir()
    return Pair(world.server.data, tmp_path / "replica", tmp_path / "standby")


async def write_for_a_while(world: World, seed: int, seconds: float) -> Client:
    """Let a client write; all of that has been answered when this returns."""
    client = Client(world.server, world.http, f"w{seed}", Random(seed))
    writes = (client._create, client._batch, client._blob, client._replace, client._delete)
    deadline = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < deadline:
        for write in writes:
            await write(world.alice)
            await write(world.bob)
    return client


async def check_promises(world: World, clients: list[Client]) -> None:
    """Every write that was answered is there, with its blob."""
    for client in clients:
        for person in (world.alice, world.bob):
            client.check(person, world.watcher.copies[person.did].records)
        await client.check_blobs()


def swap_in(pair: Pair, aside: Path) -> None:
    """Let the promoted directory be that of the server, whose own is moved away."""
    pair.data.rename(aside)
    pair.standby.rename(pair.data)
    (pair.data / "blocks").rename(pair.data / "blobs")
    shutil.copy(aside / "dev.env", pair.data)
    copy_plc(aside, pair.data)


async def test_a_standby_takes_the_place_of_a_lost_server(
    world: World, pair: Pair, tmp_path: Path
) -> None:
    world.start(**LEFT_TO_LITESTREAM)
    with pair.replicating() as replicate:
        await pair.until_joined()
        with pair.following() as following:
            clients = [await write_for_a_while(world, 1, 2)]
            # In the middle of its work, and once more at another point of it.
            following.kill()
        with pair.following() as following:
            clients.append(await write_for_a_while(world, 2, 1))
            await asyncio.sleep(0.7)
            following.kill()
        carol = await sign_up(world.server, world.http, "carol")
        with pair.following():
            await world.create(carol, "from-carol")
            await world.create(world.alice, "before")
            await pair.until_followed()
            assert pair.status("standby")["faults"] == []
            # What comes now may be lost.
            await world.create(world.alice, "late")
            await world.watcher.catch_up()
            world.server.kill()
            kill_litestream_of(replicate.process.pid)
            replicate.kill()
            refused = await asyncio.to_thread(
                run_pds,
                *("serve", "--env-file", str(pair.data / "dev.env")),
                env={**pair.env, "PDS_DATA_DIRECTORY": str(pair.standby)},
            )
            assert refused.returncode == 1
            assert f"pds standby promote {pair.standby}" in refused.stderr
            done = await asyncio.to_thread(
                pair.run, "standby", "promote", str(pair.standby), "--force"
            )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "pds serve" in done.stdout
    aside = tmp_path / "lost"
    swap_in(pair, aside)
    await check_with_doctor(pair.data)
    world.start()
    # The watcher, which has followed the old server, learns of all that is lost.
    await world.check(accounts=3)
    await check_promises(world, clients)
    records = await world.records(world.alice)
    assert {"first", "before"} <= records
    assert await world.records(carol) >= {"from-carol"}
    await world.create(world.alice, "after")
    await world.check(accounts=3)
    # The old directory may not replicate to this place any more, and the new one does.
    old = run_pds(
        *("replicate", "--env-file", str(aside / "dev.env")),
        env={**pair.env, "PDS_DATA_DIRECTORY": str(aside)},
    )
    assert old.returncode == 1
    assert "standby has taken the place" in old.stderr
    with pair.replicating():
        await pair.until(lambda: pair.file("replication.json").get("state") == "running")


async def test_a_primary_that_replicates_is_not_replaced_unless_forced(
    world: World, pair: Pair
) -> None:
    world.start(**LEFT_TO_LITESTREAM)
    with pair.replicating() as replicate:
        await pair.until_joined()
        with pair.following() as following:
            await pair.until_followed()
            second = await asyncio.to_thread(
                pair.run, "standby", "--to", str(pair.standby), "--from", f"file://{pair.replica}"
            )
            assert second.returncode == 1
            assert f"(pid {following.process.pid})" in second.stderr
            refused = await asyncio.to_thread(pair.run, "standby", "promote", str(pair.standby))
            assert refused.returncode == 1
            assert "--force" in refused.stderr
            # It was asked to stop, and nothing else has happened to it.
            assert following.process.wait(10) == 0, following.log()
            assert (pair.standby / "standby.sqlite").exists()
        world.server.kill()
        forced = await asyncio.to_thread(
            pair.run, "standby", "promote", str(pair.standby), "--force"
        )
        assert forced.returncode == 0, forced.stdout + forced.stderr
        assert not (pair.standby / "standby.sqlite").exists()
        assert await asyncio.to_thread(replicate.process.wait, 30) == 1
        assert "replicates to this place" in replicate.log()


async def test_a_directory_that_is_no_standby_is_refused(world: World, pair: Pair) -> None:
    world.start()
    source = ("--from", f"file://{pair.replica}")
    done = pair.run("standby", "--to", str(pair.data), *source)
    assert (done.returncode, "There is something already" in done.stderr) == (1, True)
    assert not (pair.data / "standby.sqlite").exists()
    done = pair.run("standby", "promote", str(pair.data))
    assert (done.returncode, "here is no standby in" in done.stderr) == (1, True)
    done = pair.run("standby", "--to", str(pair.standby), *source)
    assert (done.returncode, "pds replicate --to" in done.stderr) == (1, True)
    # A replica of Litestream alone does not tell what changes.
    (pair.replica / "account.sqlite/ltx/0").mkdir(parents=True)
    (pair.replica / f"account.sqlite/ltx/0/{1:016x}-{1:016x}.ltx").touch()
    done = pair.run("standby", "--to", str(pair.standby), *source)
    assert (done.returncode, "pds restore" in done.stderr) == (1, True)
    assert not pair.standby.exists()
