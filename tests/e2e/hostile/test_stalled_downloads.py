"""Clients that ask for a repository and take nothing, or next to nothing of it, or hang up."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import aiohttp
import pytest
from atproto import models

from pds.fairness.streams import REPOS
from tests.e2e.hostile.attack import attack
from tests.e2e.hostile.neighbour import neighbour
from tests.e2e.hostile.scale import scaled
from tests.e2e.sdk import Network, Person
from tests.processes import DevServer

Writes = models.ComAtprotoRepoApplyWrites
THING = "com.example.thing"
MOST_HELD_KB = 2_000
"""Of the server's memory, by one client: usually half of that."""


@pytest.fixture(scope="module")
def victim(server: DevServer) -> Iterator[Person]:
    """An account whose repository does not fit into the buffers of a connection."""
    network = Network(server)
    with network.clients:
        person = network.join()
        for start in range(0, 800, 100):
            create = [
                Writes.Create(
                    collection=THING,
                    value={"$type": THING, "text": f"{start + number:05}" * 1_600},
                )
                for number in range(100)
            ]
            person.client.com.atproto.repo.apply_writes(
                Writes.Data(repo=person.did, writes=create, validate=False)
            )
        yield person


def repo_url(server: DevServer, person: Person) -> str:
    # By its number, for a name may lead to ::1, where there is but one address.
    return f"http://127.0.0.1:{server.port}/xrpc/com.atproto.sync.getRepo?did={person.did}"


def asking(server: DevServer, person: Person) -> Callable[[], Awaitable[None]]:
    """What a neighbour does who downloads the same repository."""

    async def ask() -> None:
        async with (
            aiohttp.ClientSession() as http,
            http.get(repo_url(server, person), timeout=aiohttp.ClientTimeout(20)) as response,
        ):
            assert response.status == 200
            assert len(await response.read()) > 6_000_000

    return ask


def memory_kb(server: DevServer) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1])


def open_wals(server: DevServer) -> int:
    """How many connections the server has to actors' databases, its own among them."""
    directory = Path(f"/proc/{server.process.pid}/fd")
    count = 0
    for link in directory.iterdir():
        try:
            count += link.readlink().name == "store.sqlite-wal"
        except FileNotFoundError:
            continue
    return count


async def until_closed(server: DevServer, before: int) -> None:
    async with asyncio.timeout(20):
        while open_wals(server) > before:  # noqa: ASYNC110 (another process)
            await asyncio.sleep(0.05)


async def test_stalled_clients_hold_little_and_nothing_once_they_have_left(
    server: DevServer, victim: Person
) -> None:
    count = scaled(40, 80)
    await asking(server, victim)()
    before_kb, before = memory_kb(server), open_wals(server)
    with attack("downloads", repo_url(server, victim), str(count), "stall"):
        assert open_wals(server) >= before + count
        held_kb = (memory_kb(server) - before_kb) / count
        async with neighbour(asking(server, victim)) as seen, asyncio.timeout(30):
            while len(seen.took_s) < 3:  # noqa: ASYNC110 (nothing tells it)
                await asyncio.sleep(0.05)
    assert not seen.failures
    assert held_kb < MOST_HELD_KB
    await until_closed(server, before)


@pytest.mark.parametrize("addresses", [8, 128])
async def test_clients_that_take_what_they_must_keep_nobody_out(
    server: DevServer, victim: Person, addresses: int
) -> None:
    before = open_wals(server)
    url = repo_url(server, victim)
    with attack("downloads", url, str(REPOS), "trickle", str(addresses)):
        async with neighbour(asking(server, victim)) as seen:
            await seen.has_asked(scaled(2, 20))
    assert not seen.failures
    await until_closed(server, before)


async def test_clients_that_hang_up_are_no_errors(server: DevServer, victim: Person) -> None:
    count, before = scaled(100, 400), open_wals(server)
    with attack("downloads", repo_url(server, victim), str(count), "hang-up"):
        await until_closed(server, before)
    async with aiohttp.ClientSession() as http, http.get(f"{server.url}/xrpc/_health") as response:
        assert response.status == 200
    log = server.log()
    assert "Traceback" not in log
    assert '"level":"error"' not in log
    assert '"status":500' not in log
    assert log.count('"status":499') >= count // 2, "most had not got all of it"


@pytest.mark.parametrize("mode", ["stall", "drip"])
async def test_in_the_long_run_they_lose_their_connections(
    server: DevServer, victim: Person, mode: str
) -> None:
    if not scaled(short=False, long=True):
        pytest.skip("takes a minute; tests/pds/fairness/test_answer_pace.py has it in short")
    before = open_wals(server)
    with attack("downloads", repo_url(server, victim), "80", mode):
        async with asyncio.timeout(100):
            while open_wals(server) > before:  # noqa: ASYNC110 (another process)
                await asyncio.sleep(0.5)
        assert open_wals(server) <= before
