"""A crawl of all accounts, and connections that ask for nothing, at a low limit of open files."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

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


async def crawl(town: Town, *, clients: int) -> Counter[int]:
    """Ask for the head and the repository of every account; count the statuses."""
    answers: Counter[int] = Counter()
    waiting = iter(town.dids)

    async def client(http: aiohttp.ClientSession) -> None:
        for did in waiting:
            for method in ("getLatestCommit", "getRepo"):
                url = f"{town.server.url}/xrpc/com.atproto.sync.{method}"
                async with http.get(url, params={"did": did}) as response:
                    await response.read()
                    answers[response.status] += 1
            assert town.open_files < LIMIT

    async with aiohttp.ClientSession() as http:
        await asyncio.gather(*(client(http) for _ in range(clients)))
        async with http.get(f"{town.server.url}/xrpc/_health") as response:
            answers[response.status] += 1
    return answers


@pytest.mark.parametrize("clients", [1, 8])
async def test_a_crawl_of_all_accounts_does_not_use_up_the_open_files(
    town: Town, clients: int
) -> None:
    for _ in range(2):
        assert await crawl(town, clients=clients) == {200: 2 * ACCOUNTS + 1}


async def test_connections_that_ask_for_nothing_keep_nobody_out(town: Town) -> None:
    with attack("idler", "127.0.0.1", str(town.server.port), str(MOST_IDLERS)):
        assert await crawl(town, clients=8) == {200: 2 * ACCOUNTS + 1}
    assert await crawl(town, clients=1) == {200: 2 * ACCOUNTS + 1}


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
