"""Power failures and backups: files that have lost their last writes, each on its own.

The power is cut by taking back what no fsync had made durable: every WAL ends, or goes on with
noise, at some frame since the start of the server.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import pytest

from pds.disk.data_directory import CHECK_FILE
from tests.e2e.power import cut_power, keep, put_back, restart_machine, wal_sizes
from tests.e2e.promises import Client, sign_up
from tests.e2e.watcher import Watcher
from tests.e2e.world import World

_WRITING_S = 0.12


async def write_and_crash(world: World, random: Random) -> None:
    """Let clients write while the consumer follows, until the server is killed."""
    following = asyncio.create_task(world.watcher.follow())
    clients = [
        Client(world.server, world.http, f"c{random.random()}", Random(random.random()))
        for _ in range(3)
    ]
    people = [world.alice, world.bob]
    writing = [asyncio.create_task(client.write_until_it_ends(people)) for client in clients]
    await asyncio.sleep(_WRITING_S)
    world.server.kill()
    await asyncio.gather(following, *writing)


@pytest.mark.parametrize("seed", range(10))
async def test_everyone_converges_after_the_power_was_cut(world: World, seed: int) -> None:
    random = Random(seed)
    world.start()
    synced = wal_sizes(world.server.data)
    await write_and_crash(world, random)
    cut_power(world.server.data, synced, random)
    restart_machine(world.server.data)
    world.start()
    await world.check(accounts=2)
    await world.create(world.alice, "after")
    await world.check(accounts=2)
    assert "damaged" not in world.server.log()


async def test_a_log_older_than_its_stores_is_told_of_their_commits(
    world: World, tmp_path: Path
) -> None:
    log = world.server.data / "sequencer.sqlite"
    world.start()
    await write_and_crash(world, Random(1))
    keep(log, tmp_path / "older")
    world.start()
    await write_and_crash(world, Random(2))
    put_back(log, tmp_path / "older")
    world.start()
    before = set(world.watcher.seen)
    await world.check(accounts=2)
    # Every consumer has got new events, though its cursor was ahead of the log.
    assert set(world.watcher.seen) > before


@pytest.mark.parametrize("name", ["sequencer.sqlite", "account.sqlite"])
async def test_a_database_from_a_backup_that_was_in_order_is_noticed(
    world: World, tmp_path: Path, name: str
) -> None:
    """The copy says of itself that the stop was in order, as it was, then."""
    database = world.server.data / name
    keep(database, tmp_path / "older")
    world.start()
    await world.create(world.alice, "second")
    await world.create(world.bob, "second")
    await world.watcher.catch_up()
    world.server.stop()
    put_back(database, tmp_path / "older")
    world.start()
    await world.check(accounts=2)
    assert await world.records(world.alice) == {"first", "second"}


async def test_a_log_that_is_gone_is_begun_anew_behind_every_seq(world: World) -> None:
    world.start()
    await world.create(world.alice, "second")
    await world.watcher.catch_up()
    world.server.stop()
    (world.server.data / "sequencer.sqlite").unlink()
    world.start()
    await world.check(accounts=2)
    assert await world.records(world.alice) == {"first", "second"}


@pytest.mark.parametrize("crash", [True, False])
async def test_a_store_older_than_the_log_gets_a_commit_above_it(
    world: World, tmp_path: Path, crash: bool
) -> None:
    store = world.store_of(world.alice)
    keep(store, tmp_path / "older")
    world.start()
    await world.create(world.alice, "lost")
    await world.create(world.bob, "kept")
    await world.watcher.catch_up()
    assert "lost" in await world.records(world.alice)
    if crash:
        world.server.kill()
    else:
        world.server.stop()
        (world.server.data / CHECK_FILE).touch()
    put_back(store, tmp_path / "older")
    world.start()
    await world.check(accounts=2)
    assert await world.records(world.alice) == {"first"}
    assert await world.records(world.bob) == {"first", "kept"}
    assert "the store had lost commits that the network has seen" in world.server.log()
    assert not (world.server.data / CHECK_FILE).exists()


async def test_stores_without_an_account_are_kept_until_it_is_back(
    world: World, tmp_path: Path
) -> None:
    database = world.server.data / "account.sqlite"
    keep(database, tmp_path / "older")
    world.start()
    carol = await sign_up(world.server, world.http, "carol")
    await world.create(carol, "hello")
    await world.watcher.catch_up()
    world.server.stop()
    keep(database, tmp_path / "newer")
    put_back(database, tmp_path / "older")
    world.start()
    assert "a store has no account; it is kept" in world.server.log()
    assert (await world.get("com.atproto.sync.getRepo", did=carol.did))[0] == 400
    world.server.stop()
    put_back(database, tmp_path / "newer")
    world.start()
    await world.check(accounts=3)
    assert await world.records(carol) == {"hello"}


async def test_what_both_the_log_and_a_store_have_lost_is_declared_lost(world: World) -> None:
    """The consumer has seen a commit that nothing here remembers."""
    world.start()
    await world.watcher.catch_up()
    sizes = wal_sizes(world.server.data)
    await world.create(world.alice, "lost")
    await world.watcher.catch_up()
    world.server.kill()
    for wal in wal_sizes(world.server.data):
        with wal.open("rb+") as file:
            file.truncate(sizes.get(wal, 0))
    restart_machine(world.server.data)
    world.start()
    await world.check(accounts=2)
    assert await world.records(world.alice) == {"first"}


async def test_an_orderly_stop_leaves_nothing_to_recover(world: World) -> None:
    world.start()
    await world.create(world.alice, "second")
    world.server.stop()
    newest = Watcher(world.server, world.http)
    world.start()
    await newest.catch_up()
    assert "recovered" not in world.server.log()
    await world.check(accounts=2)
