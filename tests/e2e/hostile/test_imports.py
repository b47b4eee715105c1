"""Large imports of tiny blocks: refused where nothing links to them, and else in nobody's way."""

from __future__ import annotations

import io
import time
from contextlib import ExitStack
from typing import Final

import aiohttp

from tests.e2e.hostile.attack import attack
from tests.e2e.hostile.clients.tiny_blocks import tiny_blocks
from tests.e2e.hostile.neighbour import neighbour
from tests.e2e.hostile.scale import scaled
from tests.e2e.sdk import Network, Person

MEGABYTES: Final = scaled(12, 48)
IMPORTS: Final = scaled(3, 30)
SOON_S: Final = 5.0
"""An import of twenty records takes a tenth of a second where nobody else is at work."""


async def import_car(network: Network, person: Person, car: bytes) -> tuple[int, str, float]:
    """Import a CAR. Return the status, the answer, and how many seconds it took."""
    headers = {
        "Authorization": f"Bearer {person.client.export_session_string().split(':::')[2]}",
        "Content-Type": "application/vnd.ipld.car",
    }
    url = f"{network.server.url}/xrpc/com.atproto.repo.importRepo"
    started = time.monotonic()
    async with (
        aiohttp.ClientSession() as http,
        http.post(url, headers=headers, data=io.BytesIO(car)) as response,
    ):
        text = await response.text()
    return response.status, text, time.monotonic() - started


async def test_millions_of_blocks_that_nothing_links_to_are_refused_before_they_are_stored(
    network: Network, alice: Person
) -> None:
    car = network.export(alice.did) + tiny_blocks(MEGABYTES * 1_000_000, linked=False)
    status, text, _ = await import_car(network, alice, car)
    assert status == 400
    assert "far more blocks than its tree can have" in text
    (wal,) = network.server.data.glob(f"actors/*/{alice.did}/store.sqlite-wal")
    assert wal.stat().st_size < 1_000_000


async def test_a_small_import_and_every_request_go_on_beside_large_imports(
    network: Network, alice: Person
) -> None:
    for n in range(20):
        alice.post(f"post {n}")
    car = network.export(alice.did)

    async def read() -> None:
        url = f"{network.server.url}/xrpc/com.atproto.repo.describeRepo"
        async with aiohttp.ClientSession() as http:
            response = await http.get(url, params={"repo": alice.did})
            assert response.status == 200

    with ExitStack() as stack:
        for name in ("flood1.test", "flood2.test"):
            stack.enter_context(attack("tiny_blocks", network.server.url, name, str(MEGABYTES)))
        async with neighbour(read) as reader:
            for _ in range(IMPORTS):
                status, text, took_s = await import_car(network, alice, car)
                assert (status, text) == (200, "")
                assert took_s < SOON_S
    assert reader.failures == []
    assert reader.slowest_s < SOON_S
