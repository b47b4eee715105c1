"""Damaged files of one account: it is refused with a clear error, everyone else is served."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from database.wal import wal_path
from tests.e2e.power import keep, put_back
from tests.e2e.promises import NotAnswered, sign_up
from tests.e2e.world import World

REFUSED = (503, "RepoUnavailable")
_NOISE = Random(7).randbytes(20_000)


def overwrite(store: Path) -> None:
    """Noise in place of the database."""
    store.write_bytes(_NOISE)


def empty(store: Path) -> None:
    """What SQLite would take for a new database."""
    store.write_bytes(b"")


def truncate(store: Path) -> None:
    """Half of the pages are gone."""
    with store.open("rb+") as file:
        file.truncate(store.stat().st_size // 8192 * 4096)


def cut_in_header(store: Path) -> None:
    """Not even the header is whole."""
    with store.open("rb+") as file:
        file.truncate(50)


def remove(store: Path) -> None:
    """The database is gone, its key is there."""
    store.unlink()


def remove_directory(store: Path) -> None:
    """Everything of the actor is gone."""
    shutil.rmtree(store.parent)


def remove_key(store: Path) -> None:
    """Nothing can be signed."""
    (store.parent / "key").unlink()


def overwrite_wal(store: Path) -> None:
    """Noise in place of the WAL, which SQLite would take for an empty one."""
    assert wal_path(store).stat().st_size > 0
    wal_path(store).write_bytes(_NOISE)


def damage_wal_header(store: Path) -> None:
    """One bit of the header is not as it was."""
    wal = bytearray(wal_path(store).read_bytes())
    wal[20] ^= 1
    wal_path(store).write_bytes(wal)


@pytest.mark.parametrize(
    "damage",
    [
        *(overwrite, empty, truncate, cut_in_header, remove, remove_directory, remove_key),
        *(overwrite_wal, damage_wal_header),
    ],
)
async def test_damage_found_at_start_holds_back_one_account(
    world: World, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    store = world.store_of(world.alice)
    world.start()
    await world.create(world.alice, "second")
    await world.watcher.catch_up()
    world.server.kill()
    keep(store, tmp_path / "whole")
    shutil.copy(store.parent / "key", tmp_path / "key")
    damage(store)
    world.start()
    await check_only_bob_is_served(world, reads_refused=True)
    told = report_of(world)
    assert told["did"] == world.alice.did
    assert told["file"] == str(store)
    assert "restore" in told["remedy"]
    # Restored, and started after an orderly stop: all is as before, and may be written to.
    world.server.stop()
    store.parent.mkdir(exist_ok=True)
    shutil.copy(tmp_path / "key", store.parent / "key")
    put_back(store, tmp_path / "whole")
    world.start()
    await world.create(world.alice, "third")
    await world.check(accounts=2)
    assert await world.records(world.alice) == {"first", "second", "third"}


@pytest.mark.parametrize("damage", [overwrite, empty, truncate, cut_in_header, remove])
async def test_damage_found_at_the_first_use_after_an_orderly_stop(
    world: World, damage: Callable[[Path], None]
) -> None:
    damage(world.store_of(world.alice))
    world.start()
    await check_only_bob_is_served(world, reads_refused=True)
    assert report_of(world)["did"] == world.alice.did


async def test_a_missing_key_stops_writes_and_not_reads(world: World) -> None:
    remove_key(world.store_of(world.alice))
    world.start()
    await check_only_bob_is_served(world, reads_refused=False)
    assert "key is missing" in report_of(world)["reason"]


async def test_a_store_from_a_backup_older_than_the_damage_is_told_to_the_network(
    world: World, tmp_path: Path
) -> None:
    store = world.store_of(world.alice)
    keep(store, tmp_path / "backup")
    world.start()
    await world.create(world.alice, "since-the-backup")
    await world.watcher.catch_up()
    world.server.kill()
    overwrite(store)
    world.start()
    await check_only_bob_is_served(world, reads_refused=True)
    world.server.stop()
    put_back(store, tmp_path / "backup")
    world.start()
    await world.check(accounts=2)
    assert await world.records(world.alice) == {"first"}


async def test_damage_that_is_not_mended_is_reported_at_every_start(world: World) -> None:
    overwrite(world.store_of(world.alice))
    for starts in (1, 2, 3):
        world.start()
        assert (await world.try_to_create(world.alice, f"number-{starts}"))[0] == 503
        world.server.stop()
        assert world.server.log().count("an account is not served") == starts


async def check_only_bob_is_served(world: World, *, reads_refused: bool) -> None:
    """Every way to alice's store is refused alike; bob reads and writes."""
    status, answer = await world.try_to_create(world.alice, "refused")
    assert (status, answer["error"]) == REFUSED
    assert str(world.server.data) not in answer["message"]
    for nsid, params in reads_of(world.alice.did).items():
        status, answer = await world.get(nsid, **params)
        if reads_refused:
            assert (status, answer["error"]) == REFUSED, nsid
        else:
            assert status == 200, nsid
    assert (await world.try_to_create(world.bob, "written"))[0] == 200
    for nsid, params in reads_of(world.bob.did).items():
        assert (await world.get(nsid, **params))[0] == 200
    # The account itself is not gone, and the server is well.
    status, session = await world.call(
        "com.atproto.server.createSession", identifier="alice.test", password="a password"
    )
    assert (status, session["did"]) == (200, world.alice.did)
    assert (await world.get("_health"))[0] == 200


def reads_of(did: str) -> dict[str, dict[str, str]]:
    """Queries that read an actor's store."""
    record = {"collection": "com.example.note", "rkey": "first"}
    return {
        "com.atproto.sync.getRepo": {"did": did},
        "com.atproto.sync.getLatestCommit": {"did": did},
        "com.atproto.sync.getRecord": {"did": did, **record},
        "com.atproto.repo.getRecord": {"repo": did, **record},
        "com.atproto.repo.listRecords": {"repo": did, "collection": "com.example.note"},
        "com.atproto.repo.describeRepo": {"repo": did},
    }


def report_of(world: World) -> dict[str, Any]:
    """The last log line about an account that is not served."""
    lines = [
        json.loads(line)
        for line in world.server.log().splitlines()
        if "an account is not served" in line
    ]
    found: dict[str, Any] = lines[-1]
    return found


async def test_a_damaged_store_of_a_half_made_account_keeps_nobody_from_starting(
    world: World,
) -> None:
    async def join(world: World) -> None:
        with pytest.raises(NotAnswered):
            await sign_up(world.server, world.http, "carol")

    await world.end_at("store-created", join)
    (store,) = (
        store
        for store in world.server.data.glob("actors/*/*/store.sqlite")
        if store.parent.name not in (world.alice.did, world.bob.did)
    )
    overwrite(store)
    world.start()
    assert (await world.try_to_create(world.bob, "written"))[0] == 200
    carol = await sign_up(world.server, world.http, "carol")
    await world.create(carol, "hello")
