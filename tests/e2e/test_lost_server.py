"""The whole round of a replicated server with some hundred accounts.

It is killed under writes together with its supervisor, its directory is lost, and it comes back.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from repo.cid import Cid
from tests.e2e.busy_people import BusyPeople, lacking
from tests.e2e.forked import Zygote
from tests.e2e.many_accounts import make_accounts
from tests.e2e.promises import Person
from tests.e2e.replicated import LEFT_TO_LITESTREAM, Replicated, write_with_blob
from tests.e2e.test_restored_replica import check_with_doctor, copy_plc
from tests.e2e.world import World

ACCOUNTS = 200
PICTURE = b"\x89PNG a picture"


@pytest.fixture(params=["file", "s3"])
async def replicated(
    request: pytest.FixtureRequest, world: World, forking: Zygote, tmp_path: Path
) -> AsyncIterator[Replicated]:
    """A server that has yet to be started, and the place of its replica."""
    if request.param == "file":
        made = Replicated.in_directory(world, forking, tmp_path / "replica")
    else:
        made = await Replicated.in_bucket(world, forking, request.getfixturevalue("seaweedfs"))
    yield made
    made.kill()


@pytest.mark.timeout(300)
async def test_a_server_with_hundreds_of_accounts_is_lost_under_writes_and_comes_back(
    replicated: Replicated, tmp_path: Path
) -> None:
    world, lost = replicated.world, tmp_path / "lost"
    people = await make_accounts(world.server, ACCOUNTS - 2)
    world.start(**LEFT_TO_LITESTREAM)
    await write_with_blob(world, world.bob, "picture", PICTURE)
    replicated.start()
    await replicated.until_all_is_copied()
    claimed = await write_until_all_is_killed(replicated, [world.alice, *people])
    seen = world.watcher.cursor
    await lose_and_restore(replicated, lost)

    world.start(**LEFT_TO_LITESTREAM)
    # The watcher has its cursor still. It fails if a seq comes again or a gap is not told.
    await world.watcher.catch_up()
    assert world.watcher.cursor > seen
    assert await world.watcher.check() == ACCOUNTS
    assert lacking(claimed, records_of(world)) == {}
    await check_it_works(world)

    # The supervisor that was killed cannot release the replica any more.
    replicated.start()
    await replicated.until_all_is_copied()
    verified = await asyncio.to_thread(
        replicated.run, "replicate", "verify", PDS_REPLICATION_URL=replicated.url
    )
    assert verified.returncode == 0, verified
    replicated.stop()
    world.server.stop()
    await check_with_doctor(replicated.data)


async def write_until_all_is_killed(
    replicated: Replicated, people: list[Person]
) -> dict[str, set[str]]:
    """Kill the server and the supervisor in the middle of writes.

    Returns those that the replica has, as the supervisor has told.
    """
    world = replicated.world
    writers = BusyPeople(world, Random(9), people, have_blobs=False)
    following = asyncio.create_task(world.watcher.follow())
    async with writers.busy():
        status = await replicated.until(lambda status: len(writers.claimed(status)) > 20)
        world.server.kill()
        replicated.kill()
    await following
    return writers.claimed(status)


async def lose_and_restore(replicated: Replicated, lost: Path) -> None:
    """Move the directory of the server away, and restore it as the report tells."""
    data = replicated.data
    data.rename(lost)
    done = await asyncio.to_thread(
        replicated.restore, data, "--json", PDS_ENV_FILE=str(lost / "dev.env")
    )
    assert done.returncode in (0, 3), done
    report = json.loads(done.stdout)
    assert {finding["kind"] for finding in report["findings"]} <= {"changes not replicated"}, done
    assert report["totals"]["databases"] == report["totals"]["keys"] == ACCOUNTS
    # What only a development server has.
    copy_plc(lost, data)
    shutil.copy(lost / "dev.env", data)


def records_of(world: World) -> dict[str, set[str]]:
    """The record keys that the watcher knows, by DID."""
    return {
        did: {path.rpartition("/")[2] for path in copy.records}
        for did, copy in world.watcher.copies.items()
    }


async def check_it_works(world: World) -> None:
    """Blobs, passwords, signing keys and the rotation key are there."""
    cid = str(Cid.of_raw(PICTURE))
    assert await world.get("com.atproto.sync.getBlob", did=world.bob.did, cid=cid) == (200, PICTURE)
    session = await world.post(
        "com.atproto.server.createSession", identifier=world.alice.handle, password="a password"
    )
    auth = {"Authorization": f"Bearer {session['accessJwt']}"}
    await world.post("com.atproto.identity.updateHandle", auth, handle="alice-again.test")
    await world.create(world.alice, "after")
    await world.watcher.catch_up()
    assert "after" in await world.records(world.alice)
    assert world.watcher.copies[world.alice.did].handle == "alice-again.test"
