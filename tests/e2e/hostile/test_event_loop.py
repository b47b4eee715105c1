"""Records of a megabyte of nested lists take neither the neighbours' time nor the memory of all."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.hostile.attack import attack
from tests.e2e.hostile.neighbour import neighbour
from tests.e2e.hostile.scale import scaled
from tests.processes import DevServer

COLLECTION = "com.example.thing"
MOST_MIB = 400
"""Eight lists of twelve such records took six gigabytes, and each client sent for them again."""
MEDIAN_S = 1.5
SLOWEST_S = 3.0
"""Far more than it takes alone. A single list held everybody up for longer."""


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[DevServer]:
    server = DevServer.start(tmp_path / "data")
    yield server
    assert server.stop() == 0, server.log()


async def test_lists_of_hostile_records_delay_no_neighbour_and_fill_no_memory(
    own_server: DevServer,
) -> None:
    async with aiohttp.ClientSession(own_server.url) as http:
        mallory, token = await _join(http, "mallory")
        bob, bobs_token = await _join(http, "bob")
        await _call(
            http,
            "com.atproto.repo.putRecord",
            {"repo": bob, "collection": COLLECTION, "rkey": "one", "record": {"text": "hello"}},
            bobs_token,
        )

        asked, enough = itertools.count(1), asyncio.Event()

        async def get_record() -> None:
            path = "/xrpc/com.atproto.repo.getRecord"
            params = {"repo": bob, "collection": COLLECTION, "rkey": "one"}
            async with http.get(path, params=params) as response:
                assert (await response.json())["value"]["text"] == "hello"
            if next(asked) == scaled(40, 2000):
                enough.set()

        connections = str(scaled(8, 40))
        with attack("large_records", own_server.url, mallory, token, connections):
            async with neighbour(get_record) as reader:
                await enough.wait()
    assert reader.failures == []
    assert reader.median_s < MEDIAN_S
    assert reader.slowest_s < SLOWEST_S
    assert _most_memory_mib(own_server.process.pid) < MOST_MIB


async def _join(http: aiohttp.ClientSession, name: str) -> tuple[str, str]:
    """Make an account. Returns its DID and a token."""
    body = {"handle": f"{name}.test", "email": f"{name}@example.com", "password": "a password"}
    session = await _call(http, "com.atproto.server.createAccount", body)
    return session["did"], session["accessJwt"]


async def _call(
    http: aiohttp.ClientSession, nsid: str, body: Mapping[str, object], token: str | None = None
) -> dict[str, str]:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    async with http.post(f"/xrpc/{nsid}", json=body, headers=headers) as response:
        answer: dict[str, str] = await response.json()
        assert response.status == 200, answer
        return answer


def _most_memory_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
