"""A disk that fills up: writes are refused with a clear error, reads and everything else go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pds.disk.reserve import RESERVE_FILE
from tests.e2e.forked import ForkedServer
from tests.e2e.promises import NOTE, Person
from tests.e2e.world import Stopped, World
from tests.small_disk import fill, small_disk

FULL = (503, "NotEnoughResources")


@pytest.fixture(params=["tmpfs", "ext4"])
def disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file system of a few megabytes."""
    with small_disk(tmp_path / "data", size_mb=16, ext4=request.param == "ext4") as mounted:
        yield mounted


@pytest.fixture
async def world(stopped: Stopped, disk: Path) -> AsyncIterator[World]:
    """Everything is on the small disk but the log."""
    async with stopped.copy(disk) as world:
        yield world


async def write_until_refused(
    world: World, prefix: str, person: Person | None = None
) -> tuple[set[str], tuple[int, Any]]:
    """Create notes until one is refused: those that were answered, and the refusal."""
    written: set[str] = set()
    for number in range(3_000):
        rkey = f"{prefix}-{number}"
        status, answer = await world.try_to_create(person or world.alice, rkey)
        if status != 200:
            return written, (status, answer["error"])
        written.add(rkey)
    raise AssertionError("the disk never was full")


async def test_a_full_disk_stops_writes_alone_and_only_while_it_is_full(
    world: World, disk: Path
) -> None:
    world.start()
    # Opening a store takes some space; these two are open.
    for person in (world.alice, world.bob):
        await world.create(person, "second")
    ballast = fill(disk)
    written, refusal = await write_until_refused(world, "full")
    assert refusal == FULL
    for person in (world.alice, world.bob):
        assert (await world.get("com.atproto.sync.getRepo", did=person.did))[0] == 200
        assert (await world.get("com.atproto.repo.describeRepo", repo=person.did))[0] == 200
    status, answer = await world.call(
        "com.atproto.server.createAccount",
        handle="carol.test",
        email="carol@example.com",
        password="a password",
    )
    assert (status, answer["error"]) == FULL
    assert (await world.try_to_create(world.bob, "third"))[0] in (200, 503)
    ballast.unlink()
    # The same process, and nobody was asked to do anything.
    assert (await world.try_to_create(world.alice, "after"))[0] == 200
    await world.check(accounts=2)
    assert {"first", "after", *written} <= await world.records(world.alice)
    carol = await world.post(
        "com.atproto.server.createAccount",
        handle="carol.test",
        email="carol@example.com",
        password="a password",
    )
    assert carol["handle"] == "carol.test"
    await world.check(accounts=3)


async def test_a_crash_on_a_full_disk_loses_nothing(world: World, disk: Path) -> None:
    world.start()
    await world.watcher.catch_up()
    ballast = fill(disk)
    written, refusal = await write_until_refused(world, "full")
    assert refusal == FULL
    world.server.kill()
    ballast.unlink()
    world.start()
    await world.check(accounts=2)
    assert written <= await world.records(world.alice)


async def check_reads(world: World) -> None:
    """Whatever only reads is answered, of accounts that nobody has asked for yet, too."""
    for person in (world.alice, world.bob):
        for nsid, params in (
            ("com.atproto.sync.getRepo", {"did": person.did}),
            ("com.atproto.repo.describeRepo", {"repo": person.handle}),
            (
                "com.atproto.repo.listRecords",
                {"repo": person.did, "collection": NOTE},
            ),
        ):
            status, answer = await world.get(nsid, **params)
            assert status == 200, answer
    status, listed = await world.get("com.atproto.sync.listRepos")
    assert (status, len(listed["repos"])) == (200, 2)
    await world.watcher.catch_up()


async def check_health_tells(world: World) -> None:
    status, health = await world.get("_health")
    assert status == 503
    assert "Free space on" in str([check["remedy"] for check in health["checks"]])


async def until_written(world: World, person: Person, rkey: str) -> None:
    """Write a note, however long the server takes to find that there is room."""
    async with asyncio.timeout(40):
        while (await world.try_to_create(person, rkey))[0] != 200:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def has_reserve(world: World) -> None:
    async with asyncio.timeout(10):
        while not (world.server.data / RESERVE_FILE).exists():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("end", [ForkedServer.stop, ForkedServer.kill], ids=["stop", "crash"])
async def test_a_start_on_a_full_disk_serves_reads_and_writes_once_there_is_room(
    world: World, disk: Path, end: Callable[[ForkedServer], None]
) -> None:
    world.start()
    await has_reserve(world)
    await world.create(world.alice, "second")
    end(world.server)
    ballast = fill(disk)
    world.start(PDS_BLOB_UPLOAD_LIMIT="100000")
    await check_reads(world)
    # What the start has left of the reserve is soon used up.
    written: set[str] = set()
    for person in (world.alice, world.bob):
        done, refusal = await write_until_refused(world, person.handle.partition(".")[0], person)
        assert refusal == FULL
        written |= done if person is world.alice else set()
    await check_reads(world)
    await check_health_tells(world)
    ballast.unlink()
    await until_written(world, world.alice, "after")
    await until_written(world, world.bob, "after")
    await world.check(accounts=2)
    assert {"first", "second", "after", *written} <= await world.records(world.alice)
    async with asyncio.timeout(10):
        # What it says may be a second old.
        while (await world.get("_health"))[0] != 200:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_crashes_on_a_full_disk_one_after_the_other_keep_nobody_from_reading(
    world: World, disk: Path
) -> None:
    """The second start has no reserve any more."""
    world.start()
    await has_reserve(world)
    ballast = fill(disk)
    written, refusal = await write_until_refused(world, "full")
    assert refusal == FULL
    files = [ballast.rename(disk / "first-ballast")]
    for crash in range(3):
        world.server.kill()
        files.append(fill(disk).rename(disk / f"more-ballast-{crash}"))
        assert (disk / RESERVE_FILE).exists() == (crash == 0)
        world.start()
        await check_reads(world)
        done, refusal = await write_until_refused(world, f"full-{crash}")
        assert refusal == FULL
        written |= done
    for file in files:
        file.unlink()
    await until_written(world, world.alice, "after")
    await world.check(accounts=2)
    assert {"after", *written} <= await world.records(world.alice)
