"""Another process holds `account.sqlite`, as a backup tool may, while people write."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from database.opening import open_database
from tests.e2e.promises import Person
from tests.e2e.world import World

_HOLD = """
import sys, sqlite3
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
"""
_LATE_S = 1.5
"""A flush has begun by then, and waits."""
_WRITTEN_S = 15.0


@contextmanager
def held(database: Path) -> Iterator[None]:
    """A block during which another process has the write lock of `database`."""
    process = subprocess.Popen(  # noqa: S603 (a program of this file)
        [sys.executable, "-c", _HOLD, str(database)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield
    finally:
        process.communicate("\n", timeout=10)


async def shown(world: World, person: Person) -> list[str]:
    """The rev of a repository, as every method shows it."""
    (_, listed) = await world.get("com.atproto.sync.listRepos")
    (_, latest) = await world.get("com.atproto.sync.getLatestCommit", did=person.did)
    (_, status) = await world.get("com.atproto.sync.getRepoStatus", did=person.did)
    (listed_rev,) = [repo["rev"] for repo in listed["repos"] if repo["did"] == person.did]
    return [listed_rev, latest["rev"], status["rev"]]


def written(world: World, person: Person) -> str:
    """The rev in the row of a repository."""
    database = world.server.data / "account.sqlite"
    with closing(open_database(database, create=False, read_only=True)) as db:
        return str(db.value("SELECT rev FROM repo_root WHERE did = ?", (person.did,)))


async def test_no_old_head_is_shown_or_left_while_the_service_database_is_held(
    world: World,
) -> None:
    world.start()
    rev = ""
    with held(world.server.data / "account.sqlite"):
        for number in range(3):
            rev = (await world.create(world.alice, f"late-{number}"))["commit"]["rev"]
            assert await shown(world, world.alice) == [rev] * 3
            # Each write finds a flush of those before it on its way.
            await asyncio.sleep(_LATE_S)
            assert await shown(world, world.alice) == [rev] * 3
            assert written(world, world.alice) < rev
    async with asyncio.timeout(_WRITTEN_S):
        while written(world, world.alice) != rev:  # noqa: ASYNC110 (another process's)
            await asyncio.sleep(0.01)
    world.server.stop()
    assert written(world, world.alice) == rev


async def test_a_kill_while_the_service_database_is_held_leaves_no_old_head(world: World) -> None:
    world.start()
    with held(world.server.data / "account.sqlite"):
        rev = (await world.create(world.alice, "late"))["commit"]["rev"]
        await asyncio.sleep(_LATE_S)
        world.server.kill()
    assert written(world, world.alice) < rev
    world.start()
    assert await shown(world, world.alice) == [rev] * 3
    await world.check(accounts=2)
