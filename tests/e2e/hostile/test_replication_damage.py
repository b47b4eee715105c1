"""A damaged file in a replica: it is named, its database is older, all else comes back."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pds.replication.replica import names
from tests.e2e.forked import ForkedServer, Zygote
from tests.e2e.replicated import LEFT_TO_LITESTREAM, Replicated, keys_in, records_in
from tests.e2e.soak import at_length_only
from tests.e2e.world import ENVIRON, World

pytestmark = at_length_only

WRITES = 6


@pytest.fixture
async def replicated(world: World, forking: Zygote, tmp_path: Path) -> AsyncIterator[Replicated]:
    """A stopped server and its replica, which has a file for each write of alice."""
    world.start(**LEFT_TO_LITESTREAM)
    made = Replicated.in_directory(world, forking, tmp_path / "replica")
    made.start()
    try:
        for number in range(WRITES):
            await made.until_all_is_copied()
            await world.create(world.alice, f"note-{number}")
            await world.create(world.bob, f"note-{number}")
        await made.until_all_is_copied()
        made.stop()
        world.server.stop()
        yield made
    finally:
        made.kill()


def damage(file: Path) -> None:
    """Change a byte in the middle of a file."""
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0xFF
    file.write_bytes(data)


async def test_a_damaged_file_is_named_and_costs_no_more_than_what_follows_it(
    replicated: Replicated, tmp_path: Path
) -> None:
    world, to = replicated.world, tmp_path / "restored"
    database = tmp_path / "replica" / names.actor_database(world.alice.did)
    files = sorted(database.rglob("*.ltx"))
    broken = files[len(files) // 2]
    damage(broken)

    done = await asyncio.to_thread(replicated.restore, to)
    printed = " ".join(done.stdout.split())
    assert done.returncode == 3, done
    assert broken.name in printed
    assert world.alice.did in printed

    before, after = records_in(world.server.data), records_in(to)
    assert after[world.bob.did] == before[world.bob.did]
    assert after[world.alice.did] < before[world.alice.did]
    assert "first" in after[world.alice.did]
    assert keys_in(to) == keys_in(world.server.data)

    verified = await asyncio.to_thread(
        lambda: replicated.run(
            "replicate", "verify", "--all", "--json", PDS_REPLICATION_URL=replicated.url
        )
    )
    assert verified.returncode != 0
    assert json.loads(verified.stdout)["sound"] is False
    assert broken.name in verified.stdout

    await check_it_serves(replicated, to)


async def check_it_serves(replicated: Replicated, to: Path) -> None:
    """A server on the restored directory answers and takes writes of both."""
    world = replicated.world
    for path in replicated.data.glob("plc.sqlite*"):
        # Another server's in earnest.
        await asyncio.to_thread(shutil.copy, path, to)
    await asyncio.to_thread(shutil.copy, replicated.data / "dev.env", to)
    old = world.server
    server = ForkedServer(old.zygote, to, old.port, old.plc_port)
    world.server = server
    server.start(**ENVIRON, **LEFT_TO_LITESTREAM)
    try:
        for person in (world.alice, world.bob):
            await world.create(person, "after")
            status, listed = await world.get(
                "com.atproto.repo.listRecords", repo=person.did, collection="com.example.note"
            )
            assert status == 200
            assert len(listed["records"]) == len(records_in(to)[person.did])
    finally:
        server.stop()
    assert "Traceback" not in server.log()
