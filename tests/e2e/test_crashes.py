"""A server that is killed again and again while clients write and a consumer follows.

Of a server with workers, any process is killed. PDS_TEST_KILLS sets how often (default 50, of one
with workers 15 or, with `make soak`, 200), PDS_TEST_SEED repeats the choices of a run.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.forked import ForkedServer, Zygote
from tests.e2e.process_tree import forkers_of, workers_of
from tests.e2e.promises import Client, NotAnswered, Person, sign_up, sign_up_many
from tests.e2e.soak import seconds
from tests.e2e.watcher import Watcher
from tests.e2e.world import journal
from tests.processes import free_port

KILLS = {
    workers: int(os.environ.get("PDS_TEST_KILLS", default))
    for workers, default in ((1, 50), (3, round(seconds(15, 200))))
}
SEED = int(os.environ.get("PDS_TEST_SEED", random.SystemRandom().randrange(1_000_000)))
ACCOUNTS = 8
CLIENTS = 4
REPLACED_S = 90.0
LIFE_S = (0.01, 0.3)
"""How long the server is let live, at least and at most."""


@pytest.fixture(params=KILLS)
def server(
    forking: Zygote, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[ForkedServer]:
    data = tmp_path / "data"
    server = ForkedServer(forking, data, free_port(), free_port(), workers=request.param)
    yield server
    server.kill()


@pytest.mark.timeout(60 + 6 * max(KILLS.values()))
async def test_nothing_that_was_answered_is_lost_and_every_consumer_converges(
    server: ForkedServer, http: aiohttp.ClientSession
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
    for _ in range(KILLS[server.workers]):
        enough = asyncio.Event()
        following = asyncio.create_task(watcher.follow())
        busy = [
            asyncio.create_task(client.write_until_it_ends(people, enough)) for client in clients
        ]
        busy.append(asyncio.create_task(newcomers.sign_up_until_it_ends(enough)))
        await asyncio.sleep(choices.uniform(*LIFE_S))
        await kill_any(server, choices, enough)
        await asyncio.gather(*busy)
        # It may be at a worker that goes on.
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
        await watcher.catch_up()
        people += await newcomers.check(watcher)
        await check_records(watcher, clients, people)
        if server.workers > 1:
            await watcher.until_listed()
        assert await watcher.check() == len(people)
    for client in clients:
        await client.check_blobs()
    assert sum(client.answers for client in clients) > KILLS[server.workers]
    await check_from_the_start(watcher)
    server.stop()
    if server.workers == 1:
        # Others log what fails because a process has ended.
        assert "Traceback" not in server.log()


async def kill_any(server: ForkedServer, choices: random.Random, enough: asyncio.Event) -> None:
    """Kill a process of the server; return when another is in its place."""
    assert server.process is not None
    first = server.process.pid
    others = [*forkers_of(first), *workers_of(first)]
    killed = choices.choice([first, *others])
    if killed == first:
        server.kill()
        enough.set()
        async with asyncio.timeout(REPLACED_S):
            # The workers end a moment later.
            while server.listens():  # noqa: ASYNC110 (another process)
                await asyncio.sleep(0.005)
        server.start()
        return
    gone = others if killed == others[0] else [killed]
    os.kill(killed, signal.SIGKILL)
    # Others go on meanwhile.
    await asyncio.sleep(choices.uniform(*LIFE_S))
    enough.set()
    async with asyncio.timeout(REPLACED_S):
        # A worker is replaced when what it left has been mended; the rest is in the journal.
        while (  # noqa: ASYNC110 (other processes)
            set(gone) & set(workers_of(first)) or len(workers_of(first)) < server.workers
        ):
            await asyncio.sleep(0.01)
        while journal(server.data):  # noqa: ASYNC110 (another process's)
            await asyncio.sleep(0.01)


class Newcomers:
    """A client that creates accounts, each of which must be there wholly or not at all."""

    def __init__(self, server: ForkedServer, http: aiohttp.ClientSession) -> None:
        self._server = server
        self._http = http
        self._answered: list[Person] = []
        self._count = 0

    async def sign_up_until_it_ends(self, enough: asyncio.Event | None = None) -> None:
        """Create one account, sometimes a second, until the server ends, or it is enough."""
        try:
            while enough is None or not enough.is_set():
                await asyncio.sleep(0.1)
                self._count += 1
                self._answered.append(await sign_up(self._server, self._http, self._name))
        except NotAnswered:
            return

    async def check(self, watcher: Watcher) -> list[Person]:
        """The new accounts; one that was not answered can be created again, or exists."""
        people, self._answered = self._answered, []
        handles = {copy.handle for copy in watcher.copies.values()}
        for person in people:
            assert person.handle in handles
        if self._count and f"{self._name}.test" in handles - {person.handle for person in people}:
            people.append(await self._log_in())
        return people

    async def _log_in(self) -> Person:
        url = f"{self._server.url}/xrpc/com.atproto.server.createSession"
        login = {"identifier": f"{self._name}.test", "password": "a password"}
        async with self._http.post(url, json=login) as response:
            session = await response.json()
        assert response.status == 200, session
        auth = {"Authorization": f"Bearer {session['accessJwt']}"}
        return Person(session["did"], session["handle"], auth)

    @property
    def _name(self) -> str:
        return f"newcomer{self._count}"


async def check_records(watcher: Watcher, clients: list[Client], people: list[Person]) -> None:
    """Every client finds in every repository what it was promised."""
    for person in people:
        copy = watcher.copies[person.did]
        for client in clients:
            client.check(person, copy.records)


async def check_from_the_start(watcher: Watcher) -> None:
    """A consumer that reads the whole log comes to the same, and sees the same events."""
    again = Watcher(watcher.server, watcher.http)
    await again.catch_up()
    await again.check()
    assert watcher.seen.items() <= again.seen.items()
