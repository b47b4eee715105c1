"""Power failures under load, with the durability that is the default: nothing answered is lost.

The disk takes five milliseconds for a sync, and forgets what was not synced. PDS_TEST_SEED repeats
the choices of a run.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.forked import ForkedServer, Zygote
from tests.e2e.lost_writes import Base
from tests.e2e.power import restart_machine
from tests.e2e.promises import Client, Person, sign_up_many
from tests.e2e.soak import seconds
from tests.e2e.test_crashes import Newcomers, check_from_the_start, check_records
from tests.e2e.watcher import Watcher
from tests.processes import free_port

FAILURES = round(seconds(4, 200))
SEED = int(os.environ.get("PDS_TEST_SEED", random.SystemRandom().randrange(1_000_000)))
ACCOUNTS = 6
CLIENTS = 8
MOST_ANSWERS = 60
"""How many the clients get before the power fails."""
SYNC_S = 0.005


@pytest.fixture
def server(forking: Zygote, tmp_path: Path) -> Iterator[ForkedServer]:
    server = ForkedServer(forking, tmp_path / "data", free_port(), free_port())
    yield server
    server.kill()


@pytest.mark.timeout(60 + 10 * FAILURES)
async def test_a_power_failure_loses_nothing_that_was_answered_or_seen(
    server: ForkedServer, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    print(f"PDS_TEST_SEED={SEED}")  # noqa: T201 (shown when the test fails)
    choices = random.Random(SEED)
    server.start()
    people = await sign_up_many(server, http, ACCOUNTS)
    clients = [
        Client(server, http, f"c{n}", random.Random(choices.random())) for n in range(CLIENTS)
    ]
    newcomers = Newcomers(server, http)
    watcher = Watcher(server, http)
    server.stop()
    server.journal, server.sync_s = tmp_path / "journal", SYNC_S
    for _ in range(FAILURES):
        # All of it is on the disk, so the recovery that follows may be undone as well.
        base = Base(server.data, tmp_path / "base")
        server.start()
        await check_all(watcher, newcomers, clients, people)
        following = asyncio.create_task(watcher.follow())
        busy = [asyncio.create_task(client.write_until_it_ends(people)) for client in clients]
        busy.append(asyncio.create_task(newcomers.sign_up_until_it_ends()))
        await until_answered(clients, choices.randint(0, MOST_ANSWERS))
        await asyncio.sleep(choices.uniform(0, 4 * SYNC_S))
        server.kill()
        await asyncio.gather(following, *busy)
        base.cut_power(server.journal, choices)
        restart_machine(server.data)
    server.journal = None
    server.start()
    await check_all(watcher, newcomers, clients, people)
    for client in clients:
        await client.check_blobs()
    await check_from_the_start(watcher)
    server.stop()
    for trouble in ("is damaged", "Traceback"):
        assert trouble not in server.log()


async def until_answered(clients: list[Client], count: int) -> None:
    """Wait until the clients have got so many more answers."""
    enough = sum(client.answers for client in clients) + count
    async with asyncio.timeout(30):
        while sum(client.answers for client in clients) < enough:  # noqa: ASYNC110 (many clients)
            await asyncio.sleep(SYNC_S / 5)


async def check_all(
    watcher: Watcher, newcomers: Newcomers, clients: list[Client], people: list[Person]
) -> None:
    """Everything that was answered is there, and everything that was seen is still so."""
    seen = dict(watcher.seen)
    await watcher.catch_up()
    assert seen.items() <= watcher.seen.items()
    people += await newcomers.check(watcher)
    await check_records(watcher, clients, people)
    assert await watcher.check() == len(people)
