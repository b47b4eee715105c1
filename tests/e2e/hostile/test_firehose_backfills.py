"""Clients that read the firehose from its beginning, all at once and over and over."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import aiohttp
import pytest
from atproto import models

from tests.e2e.hostile.attack import attack
from tests.e2e.hostile.neighbour import neighbour
from tests.e2e.hostile.scale import scaled
from tests.e2e.raw_events import Event, read_events
from tests.e2e.sdk import Network, Person
from tests.processes import DevServer

THING = "com.example.thing"
COMMITS = scaled(400, 2_000)
SLOWEST_S = 2.0
"""Far beyond what a neighbour notices; without turns it is ten seconds and more."""


@pytest.fixture(scope="module")
def writer(server: DevServer) -> Iterator[Person]:
    """An account with many commits."""
    network = Network(server)
    with network.clients:
        person = network.join()
        repo = person.client.com.atproto.repo
        for number in range(COMMITS):
            repo.create_record(
                models.ComAtprotoRepoCreateRecord.Data(
                    repo=person.did,
                    collection=THING,
                    record={"$type": THING, "text": f"{number:05}" * 2_000},
                    validate=False,
                )
            )
        yield person


@pytest.mark.parametrize("addresses", [2, 200])
async def test_backfills_delay_neither_neighbours_nor_live_consumers(
    server: DevServer, writer: Person, addresses: int
) -> None:
    url = f"http://127.0.0.1:{server.port}"
    latest = f"{url}/xrpc/com.atproto.sync.getLatestCommit?did={writer.did}"
    # A little less than there is, so that each begins anew instead of waiting for more.
    enough_bytes = COMMITS * 10_000
    live: list[Event] = []
    async with aiohttp.ClientSession() as http:

        async def ask() -> None:
            async with http.get(latest, timeout=aiohttp.ClientTimeout(30)) as response:
                assert response.status == 200

        with attack("backfills", url, "200", str(addresses), str(enough_bytes)):
            cursor = COMMITS  # Close enough to the end to be live.
            consumer = asyncio.create_task(read_events(server, http, live, cursor=cursor))
            async with neighbour(ask) as seen, asyncio.timeout(60):
                while len(seen.took_s) < scaled(50, 300):  # noqa: ASYNC110 (nothing tells it)
                    await asyncio.sleep(0.05)
                made = await asyncio.to_thread(writer.post, "live")
                rev = made.cid and await asyncio.to_thread(_rev, writer)
                while rev not in [event.rev for event in live]:  # noqa: ASYNC110 (nothing tells it)
                    await asyncio.sleep(0.05)
        consumer.cancel()
    assert not seen.failures
    assert seen.slowest_s < SLOWEST_S


def _rev(person: Person) -> str:
    rev: str = person.client.com.atproto.sync.get_latest_commit({"did": person.did}).rev
    return rev
