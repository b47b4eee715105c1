"""A server that is lost in the middle of its work, and comes back from its replica.

Litestream replicates by `litestream.yml`. Consumers have seen what no replica has; nobody may be
left with it.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from pds.config import Settings, read_settings
from pds.config.env_file import read_env_file
from pds.oauth.opening import REPLAY_FILE
from pds.replication.replica.file_place import FilePlace
from pds.replication.restore.finishing import finish
from pds.replication.restore.options import RestoreOptions
from pds.replication.restore.restoring import Restore
from pds.replication.restore.target import RestoreTarget
from pds.server.in_process import open_in_process
from tests.e2e.promises import Client, Person
from tests.e2e.replicated import LEFT_TO_LITESTREAM
from tests.e2e.soak import at_length_only
from tests.e2e.world import ENVIRON, World
from tests.pds.replication.real_litestream import start_plainly
from tests.processes import run_pds

_REPLICATED_S = 60.0
_WRITING_S = 1.5


@contextmanager
def litestream(data: Path, replica: Path) -> Iterator[None]:
    """Litestream with Holdfast's litestream.yml, which is killed at the end."""
    process = start_plainly(data, {"LITESTREAM_REPLICA": f"file://{replica}"})
    try:
        yield
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(_REPLICATED_S)


async def until_replicated(data: Path, replica: Path) -> None:
    """Wait until the replica has every database."""
    async with asyncio.timeout(_REPLICATED_S):
        while not has_all(data, replica):  # noqa: ASYNC110 (another process's)
            await asyncio.sleep(0.02)


async def until_newer(replica: Path, person: Person, since_s: float) -> None:
    """Wait until all databases that a commit of `person` changes have been replicated."""
    async with asyncio.timeout(_REPLICATED_S):
        while not is_newer(replica, person, since_s):  # noqa: ASYNC110 (another process's)
            await asyncio.sleep(0.02)


def is_newer(replica: Path, person: Person, since_s: float) -> bool:
    changed = (replica / "sequencer.sqlite", *replica.glob(f"actors/??/{person.did}"))
    newest = [
        max((ltx.stat().st_mtime for ltx in path.rglob("*.ltx")), default=0.0) for path in changed
    ]
    return len(newest) == 2 and min(newest) > since_s


def has_all(data: Path, replica: Path) -> bool:
    databases = [path.relative_to(data) for path in data.rglob("*.sqlite")]
    wanted = [path for path in databases if path.name not in ("plc.sqlite", REPLAY_FILE)]
    return all(list((replica / path).rglob("*.ltx")) for path in wanted)


def lose(data: Path, replica: Path, aside: Path) -> None:
    """Move a directory away; keep what is copied beside the databases, and what only dev has."""
    for key in data.glob("actors/??/did:*/key"):
        copy = replica / key.relative_to(data)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(key, copy)
    data.rename(aside)
    data.mkdir()
    shutil.copy(aside / "dev.env", data)


def settings_of(data: Path) -> Settings:
    return read_settings({**read_env_file(data / "dev.env"), **ENVIRON})


async def bring_back(data: Path, replica: Path, aside: Path) -> None:
    """Restore everything, with the recovery that `pds restore` ends with."""
    target = RestoreTarget.of_settings(settings_of(data))
    restore = Restore(FilePlace(replica), f"file://{replica}", target, RestoreOptions())
    report = await restore.run()
    assert report.is_complete, report.findings
    assert report.totals.databases == report.totals.accounts
    copy_plc(aside, data)


def copy_plc(aside: Path, data: Path) -> None:
    """Bring back the PLC directory, which is another server's in earnest."""
    for path in aside.glob("plc.sqlite*"):
        shutil.copy(path, data)


async def recover(settings: Settings) -> None:
    async with open_in_process(settings):
        pass


class Writer(Client):
    """Makes no blobs: what deletes their files is not what is tested here."""

    async def _blob(self, person: Person) -> None:
        await self._create(person)


async def write_and_be_killed(world: World, seed: int, *, for_s: float = _WRITING_S) -> None:
    """Let clients write while the consumer follows, until the server is killed."""
    following = asyncio.create_task(world.watcher.follow())
    clients = [
        Writer(world.server, world.http, f"c{seed}{number}", Random(seed * 10 + number))
        for number in range(3)
    ]
    people = [world.alice, world.bob]
    writing = [asyncio.create_task(client.write_until_it_ends(people)) for client in clients]
    await asyncio.sleep(for_s)
    world.server.kill()
    await asyncio.gather(following, *writing)
    assert sum(client.answers for client in clients)


async def check_with_doctor(data: Path) -> None:
    done = await asyncio.to_thread(
        run_pds,
        *("doctor", "--offline", "--blobs", "--env-file", str(data / "dev.env")),
        env=ENVIRON,
    )
    assert done.returncode == 0, done.stdout


@at_length_only
@pytest.mark.parametrize("finishes", [True, False])
@pytest.mark.parametrize("seed", [1, 2])
async def test_a_lost_server_comes_back_and_nobody_is_left_with_what_it_has_lost(
    world: World, tmp_path: Path, seed: int, *, finishes: bool
) -> None:
    data, replica, aside = world.server.data, tmp_path / "replica", tmp_path / "lost"
    world.start(**LEFT_TO_LITESTREAM)
    with litestream(data, replica):
        await until_replicated(data, replica)
        await write_and_be_killed(world, seed)
    seen = world.watcher.cursor
    lose(data, replica, aside)
    await bring_back(data, replica, aside)
    if finishes:
        await finish(settings_of(data), recover)
        await check_with_doctor(data)
    world.start()
    # The watcher has its cursor still. It fails if a seq comes again or a gap is not told.
    await world.check(accounts=2)
    told = {did for seq, (kind, did, _) in world.watcher.seen.items() if seq > seen}
    assert told >= {world.alice.did, world.bob.did}
    await world.create(world.alice, "after")
    await world.check(accounts=2)
    assert "after" in await world.records(world.alice)
    world.server.stop()
    await check_with_doctor(data)


async def test_what_consumers_saw_and_neither_log_nor_stores_have_is_taken_back(
    world: World, tmp_path: Path
) -> None:
    """The replica has stopped some time before the server: all files agree on the old state."""
    data, replica, aside = world.server.data, tmp_path / "replica", tmp_path / "lost"
    world.start(**LEFT_TO_LITESTREAM)
    with litestream(data, replica):
        await until_replicated(data, replica)
    await world.create(world.alice, "lost")
    await world.watcher.catch_up()
    assert "lost" in await world.records(world.alice)
    world.server.kill()
    lose(data, replica, aside)
    await bring_back(data, replica, aside)
    world.start()
    await world.check(accounts=2)
    assert "lost" not in await world.records(world.alice)
    assert "first" in await world.records(world.alice)


async def test_a_copy_of_a_server_that_was_stopped_in_order_is_not_trusted_either(
    world: World, tmp_path: Path
) -> None:
    """The log says that all is in order, as it was, then."""
    data, replica, aside = world.server.data, tmp_path / "replica", tmp_path / "lost"
    with litestream(data, replica):
        await until_replicated(data, replica)
    world.start()
    await world.create(world.alice, "lost")
    await world.watcher.catch_up()
    world.server.stop()
    lose(data, replica, aside)
    await bring_back(data, replica, aside)
    world.start()
    await world.check(accounts=2)
    assert "lost" not in await world.records(world.alice)


@at_length_only
async def test_a_restored_server_is_replicated_to_the_same_place_and_lost_again(
    world: World, tmp_path: Path
) -> None:
    data, replica = world.server.data, tmp_path / "replica"
    for turn in range(3):
        world.start(**LEFT_TO_LITESTREAM)
        with litestream(data, replica):
            await world.create(world.alice, f"turn{turn}")
            since_s = time.time()
            # What is replicated from now on has the first one.
            await world.create(world.alice, f"later{turn}")
            await until_newer(replica, world.alice, since_s)
            await write_and_be_killed(world, turn, for_s=0.2)
        lose(data, replica, tmp_path / f"lost{turn}")
        await bring_back(data, replica, tmp_path / f"lost{turn}")
    world.start()
    await world.check(accounts=2)
    assert await world.records(world.alice) >= {"turn0", "turn1", "turn2"}
    world.server.stop()
    await check_with_doctor(data)
