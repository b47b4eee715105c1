"""Large imports of tiny blocks: refused where they are in no tree, and else in nobody's way."""

from __future__ import annotations

import io
import time
from contextlib import ExitStack
from typing import Final

import aiohttp
import pytest

from tests.e2e.hostile.attack import attack
from tests.e2e.hostile.neighbour import neighbour
from tests.e2e.hostile.scale import scaled
from tests.e2e.hostile.tiny_blocks import tiny_blocks
from tests.e2e.sdk import Network, Person

MEGABYTES: Final = scaled(12, 48)
RECORDS: Final = scaled(60_000, 250_000)
"""Of 9 MB, which makes an import a large one, or of 37."""
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


@pytest.mark.parametrize("linked", [False, True])
async def test_a_flood_of_blocks_that_are_in_no_tree_is_refused_before_it_is_stored(
    network: Network, alice: Person, linked: bool
) -> None:
    car = network.export(alice.did) + tiny_blocks(MEGABYTES * 1_000_000, linked=linked)
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

    urls = network.server.url, f"http://localhost:{network.server.plc_port}"
    with ExitStack() as stack:
        for name in ("flood1.test", "flood2.test"):
            stack.enter_context(attack("large_repos", *urls, name, str(RECORDS)))
        async with neighbour(read) as reader:
            for _ in range(IMPORTS):
                status, text, took_s = await import_car(network, alice, car)
                assert (status, text) == (200, "")
                assert took_s < SOON_S
    assert reader.failures == []
    assert reader.slowest_s < SOON_S
