"""A disk that fills up: writes are refused with a clear error, reads and everything else go on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.world import Stopped, World
from tests.small_disk import fill, small_disk

FULL = (503, "NotEnoughResources")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes."""
    with small_disk(tmp_path / "disk", size_mb=12) as mounted:
        yield mounted


@pytest.fixture
async def world(stopped: Stopped, disk: Path) -> AsyncIterator[World]:
    async with stopped.copy(disk / "data") as world:
        yield world


async def write_until_refused(world: World, prefix: str) -> tuple[set[str], tuple[int, Any]]:
    """Create notes until one is refused: those that were answered, and the refusal."""
    written: set[str] = set()
    for number in range(3_000):
        rkey = f"{prefix}-{number}"
        status, answer = await world.try_to_create(world.alice, rkey)
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
