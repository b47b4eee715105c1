"""A crawl of all accounts, and connections that ask for nothing, at a low limit of open files."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.e2e.forked import ForkedServer, Zygote
from tests.e2e.hostile.attack import attack
from tests.e2e.hostile.crowd import settle
from tests.e2e.hostile.scale import scaled
from tests.processes import free_port

ACCOUNTS = scaled(100, 2_000)
LIMIT = scaled(200, 1_024)
"""Of open files; four for each account are more than that."""
MOST_BUSY = scaled(100, 700)
MOST_DOWNLOADS = scaled(40, 300)
APPLY_WRITES = "com.atproto.repo.applyWrites"
MOST_IDLERS = scaled(300, 1_500)


@dataclass(slots=True)
class Town:
    """A server with a low limit, and its accounts."""

    server: ForkedServer
    dids: list[str]

    @property
    def open_files(self) -> int:
        """How many files the server has open."""
        pid = (self.server.data / "holdfast.lock").read_text().strip()
        return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


@pytest.fixture(scope="module")
def town(forking: Zygote, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    data = tmp_path_factory.mktemp("town") / "data"
    data.mkdir()
    dids = settle(data, ACCOUNTS)
    server = ForkedServer(forking, data, free_port(), free_port(), open_files=LIMIT)
    server.start()
    yield Town(server, dids)
    server.stop()
    log = server.log()
    assert "Traceback" not in log
    assert "disk" not in log, "a limit is taken for a fault of the disk"


async def crawl(town: Town, *, clients: int, most: int = ACCOUNTS, tries: int = 1) -> Counter[int]:
    """Ask for the head and the repository of so many accounts; count the statuses.

    With more `tries` it asks again when the connection is lost or the server is too busy just then.
    """
    answers: Counter[int] = Counter()
    waiting = iter(town.dids[:most])

    async def client(http: aiohttp.ClientSession) -> None:
        for did in waiting:
            for method in ("getLatestCommit", "getRepo"):
                url = f"{town.server.url}/xrpc/com.atproto.sync.{method}"
                answers[await asked(http, url, did, tries)] += 1
            assert town.open_files < LIMIT

    async with aiohttp.ClientSession() as http:
        await asyncio.gather(*(client(http) for _ in range(clients)))
        async with http.get(f"{town.server.url}/xrpc/_health") as response:
            answers[response.status] += 1
    return answers


async def asked(http: aiohttp.ClientSession, url: str, did: str, tries: int) -> int:
    """The status of the answer; of the last one, if it takes several tries."""
    try:
        async with http.get(url, params={"did": did}) as response:
            await response.read()
            status = response.status
    except aiohttp.ClientConnectionError:
        if tries == 1:
            raise
        status = 503
    return await asked(http, url, did, tries - 1) if status == 503 and tries > 1 else status


@pytest.mark.parametrize("clients", [1, 8])
async def test_a_crawl_of_all_accounts_does_not_use_up_the_open_files(
    town: Town, clients: int
) -> None:
    for _ in range(2):
        assert await crawl(town, clients=clients) == {200: 2 * ACCOUNTS + 1}


async def test_connections_that_ask_for_nothing_keep_nobody_out(town: Town) -> None:
    with attack("idler", "127.0.0.1", str(town.server.port), str(MOST_IDLERS)):
        # A client that the machine stops between connecting and asking must try again.
        assert await crawl(town, clients=8, tries=3) == {200: 2 * ACCOUNTS + 1}
    assert await crawl(town, clients=1) == {200: 2 * ACCOUNTS + 1}


@pytest.mark.parametrize("addresses", [1, 20])
async def test_connections_that_are_all_busy_keep_nobody_out(town: Town, addresses: int) -> None:
    port = str(town.server.port)
    with attack("busy", "127.0.0.1", port, str(MOST_BUSY), str(addresses)):
        assert await crawl(town, clients=1, most=100, tries=5) == {200: 201}


async def make_large_repository(town: Town) -> str:
    """An account whose repository does not fit into the buffers of a connection."""
    async with aiohttp.ClientSession(f"{town.server.url}/xrpc/") as http:

        async def post(method: str, body: Any, headers: Any = None) -> Any:
            async with http.post(method, json=body, headers=headers) as response:
                assert response.status == 200
                return await response.json()

        account = {"handle": "large.test", "email": "large@example.com", "password": "large-large"}
        made = await post("com.atproto.server.createAccount", account)
        auth = {"Authorization": f"Bearer {made['accessJwt']}"}
        for start in range(0, 800, 100):
            create = [
                {
                    "$type": f"{APPLY_WRITES}#create",
                    "collection": "com.example.thing",
                    "value": {"$type": "com.example.thing", "text": f"{number:05}" * 1_600},
                }
                for number in range(start, start + 100)
            ]
            writes = {"repo": made["did"], "writes": create, "validate": False}
            await post(APPLY_WRITES, writes, auth)
    return str(made["did"])


async def test_downloads_that_are_not_taken_leave_files_for_others(town: Town) -> None:
    # The server has yet to see that the clients of an attack before are gone.
    assert await crawl(town, clients=1, most=1, tries=100) == {200: 3}
    did = await make_large_repository(town)
    repo = f"{town.server.url}/xrpc/com.atproto.sync.getRepo"
    with attack("downloads", f"{repo}?did={did}", str(MOST_DOWNLOADS), "trickle", "8"):
        async with aiohttp.ClientSession() as http:
            for crawled in town.dids:
                url = f"{town.server.url}/xrpc/com.atproto.sync.getLatestCommit"
                async with http.get(url, params={"did": crawled}) as response:
                    assert response.status == 200
            async with http.get(repo, params={"did": did}) as response:
                assert response.status == 200
                assert len(await response.read()) > 6_000_000


def test_a_server_with_too_few_files_does_not_start_and_says_why(
    forking: Zygote, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    server = ForkedServer(forking, data, free_port(), free_port(), open_files=64)
    server.launch()
    assert server.wait_ended()
    assert "limit of open files is 64" in server.log()
    assert "LimitNOFILE" in server.log()
    assert "Traceback" not in server.log()
