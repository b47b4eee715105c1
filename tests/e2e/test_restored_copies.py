"""Older copies put back by hand: no seq comes again, and who has seen more is served."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from database.opening import open_database
from tests.e2e.power import keep, put_back
from tests.e2e.promises import NOTE
from tests.e2e.world import ENVIRON, World
from tests.processes import run_pds

SERVICES = ("account.sqlite", "sequencer.sqlite")


def copy_all(data: Path, to: Path) -> Callable[[], None]:
    """Copy the whole directory; return what puts it back, with nothing else left in it."""
    shutil.copytree(data, to)

    def put_back_all() -> None:
        shutil.rmtree(data)
        shutil.copytree(to, data)

    return put_back_all


def copy_services(data: Path, to: Path) -> Callable[[], None]:
    """Copy `account.sqlite` and the log; return what puts them back beside newer stores."""
    for name in SERVICES:
        keep(data / name, to)

    def put_back_services() -> None:
        for name in SERVICES:
            put_back(data / name, to)

    return put_back_services


@pytest.mark.parametrize("copy", [copy_all, copy_services])
@pytest.mark.parametrize("while_running", [False, True])
async def test_events_after_a_restore_come_above_all_that_were_ever_sent(
    world: World,
    tmp_path: Path,
    copy: Callable[[Path, Path], Callable[[], None]],
    *,
    while_running: bool,
) -> None:
    data = world.server.data
    world.start()
    await world.create(world.alice, "kept")
    if not while_running:
        world.server.stop()
    # Of a running server as a snapshot of the disk would have it.
    put_copy_back = copy(data, tmp_path / "copy")
    if while_running:
        world.server.kill()
    for number in range(3):
        world.start()
        await world.create(world.alice, f"later-{number}")
        await world.create(world.bob, f"later-{number}")
        await world.watcher.catch_up()
        world.server.stop()
    put_copy_back()
    world.start()
    seen = world.watcher.cursor
    answer = await world.create(world.bob, "after")
    # It fails if it is refused, or sees a seq again.
    await world.watcher.catch_up()
    rev = answer["commit"]["rev"]
    assert min(seq for seq, (_, _, told) in world.watcher.seen.items() if told == rev) > seen
    assert "requests events that never existed" not in world.server.log()


async def test_heads_and_log_follow_stores_that_are_newer_than_both(
    world: World, tmp_path: Path
) -> None:
    """The copies agree with each other, and say that all was in order."""
    data = world.server.data
    put_copy_back = copy_services(data, tmp_path / "copy")
    world.start()
    rev = (await world.create(world.alice, "later"))["commit"]["rev"]
    world.server.stop()
    put_copy_back()
    world.start()
    _, listed = await world.get("com.atproto.sync.listRepos")
    revs = {repo["did"]: repo["rev"] for repo in listed["repos"]}
    assert revs[world.alice.did] >= rev
    await world.check(accounts=2)


async def test_heads_follow_the_stores_after_a_copy_of_the_same_run_is_put_back(
    world: World, tmp_path: Path
) -> None:
    """A copy that a backup made of `account.sqlite` while the server ran."""
    account = world.server.data / "account.sqlite"
    world.start()
    keep(account, tmp_path / "copy")
    rev = (await world.create(world.alice, "later"))["commit"]["rev"]
    world.server.stop()
    put_back(account, tmp_path / "copy")
    world.start()
    _, listed = await world.get("com.atproto.sync.listRepos")
    revs = {repo["did"]: repo["rev"] for repo in listed["repos"]}
    assert revs[world.alice.did] == rev
    await world.check(accounts=2)


@pytest.mark.parametrize("while_running", [True, False])
async def test_a_consumer_that_the_clock_cannot_help_is_helped_by_what_the_log_says(
    world: World, tmp_path: Path, *, while_running: bool
) -> None:
    """As after a copy of the time when the reference PDS was the last to use it."""
    data = world.server.data
    put_copy_back = copy_all(data, tmp_path / "copy")
    world.start()
    await world.create(world.alice, "later")
    await world.watcher.catch_up()
    world.server.stop()
    put_copy_back()
    with closing(open_database(data / "sequencer.sqlite")) as db:
        db.run("UPDATE holdfast_run SET latestSeq = latestSeq - 1")
    world.start()
    with pytest.raises(AssertionError, match="FutureCursor"):
        async with asyncio.timeout(10):
            await world.watcher.follow()
    (command,) = re.findall(r"`pds (sequencer raise \d+)`", world.server.log())
    if not while_running:
        world.server.stop()
    typed = [*command.split(), "--env-file", str(data / "dev.env")]
    done = await asyncio.to_thread(run_pds, *typed, env=ENVIRON)
    assert done.returncode == 0, done.stderr
    if not while_running:
        world.start()
    await world.create(world.bob, "after")
    await world.watcher.catch_up()
    assert world.watcher.copies[world.bob.did].records.keys() >= {f"{NOTE}/after"}
