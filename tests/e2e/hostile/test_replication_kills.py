"""Supervisors and daemons that are killed in rounds, under writes: nothing but the lag is lost.

The status says how old the oldest change is that the replica lacks. After each kill the replica is
restored, and must have everything that is older than that.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from pds.replication.status import ReplicationStatus
from tests.e2e.busy_people import BusyPeople, lacking
from tests.e2e.forked import Zygote
from tests.e2e.hostile.scale import scaled
from tests.e2e.replicated import (
    LEFT_TO_LITESTREAM,
    Replicated,
    check_restored,
    keys_in,
    records_in,
)
from tests.e2e.soak import at_length_only
from tests.e2e.world import World
from tests.seaweedfs import SeaweedFs

pytestmark = at_length_only

ROUNDS = scaled(4, 40)
PLACES = scaled(["file"], ["file", "s3"])
MOST_PEOPLE = 60
WRITING_S = (0.5, 3.0)
HARMLESS = {
    *("account without database", "database without account", "missing blob"),
    "changes not replicated",
}
"""What a replica may lack that was cut off between two files which belong together."""


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.timeout(3_600)
async def test_kills_lose_nothing_but_the_lag(
    world: World, forking: Zygote, seaweedfs: SeaweedFs, tmp_path: Path, place: str
) -> None:
    world.start(**LEFT_TO_LITESTREAM)
    if place == "file":
        replicated = Replicated.in_directory(world, forking, tmp_path / "replica")
    else:
        replicated = await Replicated.in_bucket(world, forking, seaweedfs)
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201 (to repeat a failure)
    chance = random.Random(seed)
    writers = BusyPeople(world, chance, [world.alice, world.bob], MOST_PEOPLE)
    try:
        replicated.start()
        status = await replicated.until_all_is_copied()
        async with writers.busy():
            for number in range(ROUNDS):
                await asyncio.sleep(chance.uniform(*WRITING_S))
                status = kill_some(replicated, chance)
                await check_round(replicated, writers, status, tmp_path / f"restored-{number}")
                if replicated.has_ended(0):
                    replicated.start()
                await replicated.until(is_current, within_s=300)
        await replicated.until_all_is_copied()
        await check_restored(replicated)
        await check_sound(replicated)
    finally:
        replicated.kill()


def kill_some(replicated: Replicated, chance: random.Random) -> ReplicationStatus:
    """Kill one or more of the three processes; return what the status last said."""
    status = replicated.status()
    assert status is not None
    daemons = [daemon.pid for daemon in status.daemons if daemon.pid is not None]
    victims = chance.sample(daemons, chance.randint(0, len(daemons)))
    for pid in victims:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if not victims or chance.random() < 0.5:
        replicated.kill()
    last = replicated.status()
    assert last is not None
    return last


def is_current(status: ReplicationStatus) -> bool:
    """Whether the replica is up again, and has nearly everything."""
    return status.state == "running" and status.actors.oldest_unsynced_s < 5


async def check_round(
    replicated: Replicated, writers: BusyPeople, status: ReplicationStatus, to: Path
) -> None:
    """Restore: nothing is damaged, and all is there that the status claims."""
    done = await asyncio.to_thread(replicated.restore, to, "--json")
    assert done.returncode in (0, 3), done
    report: dict[str, Any] = json.loads(done.stdout)
    assert {finding["kind"] for finding in report["findings"]} <= HARMLESS, report["findings"]
    found = await asyncio.to_thread(records_in, to)
    assert lacking(writers.claimed(status), found) == {}, status
    # No database is in the replica without its key.
    assert await asyncio.to_thread(keys_in, to) is not None
    await asyncio.to_thread(shutil.rmtree, to)


async def check_sound(replicated: Replicated) -> None:
    """The command that verifies replicas agrees."""
    done = await asyncio.to_thread(
        lambda: replicated.run(
            "replicate", "verify", "--all", "--json", PDS_REPLICATION_URL=replicated.url
        )
    )
    assert done.returncode == 0, done
    assert json.loads(done.stdout)["sound"] is True
