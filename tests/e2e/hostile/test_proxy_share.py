"""One account that wants every connection to the AppView."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import aiohttp
import pytest

from tests.appview import Answer, AppView, serve_appview
from tests.e2e.hostile.attack import attack
from tests.e2e.hostile.neighbour import neighbour
from tests.e2e.hostile.scale import scaled
from tests.e2e.hostile.test_dns import ELSEWHERE, SOON_S, TIMELINE, sign_up
from tests.processes import DevServer

BODIES: Final = scaled("260", "600")
TIMES: Final = scaled(50, 400)
"""Asked before the bodies end, which the server does not wait for any longer than half a minute."""


@pytest.fixture
def appview() -> Iterator[AppView]:
    with serve_appview() as appview:
        appview.answers[TIMELINE] = Answer({"feed": []})
        yield appview


@pytest.fixture
def server(tmp_path: Path, appview: AppView) -> Iterator[DevServer]:
    server = DevServer.start(tmp_path, env=appview.environment)
    yield server
    assert server.stop() == 0, server.log()
    assert "Traceback" not in server.log()


@pytest.fixture
async def http(server: DevServer) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(server.url, headers=ELSEWHERE) as http:
        yield http


async def test_bodies_that_drip_keep_nobody_from_the_appview(
    server: DevServer, http: aiohttp.ClientSession
) -> None:
    mallory, alice = await sign_up(http, "mallory"), await sign_up(http, "alice")
    token = mallory["Authorization"].removeprefix("Bearer ")

    async def read() -> None:
        async with http.get(f"/xrpc/{TIMELINE}", headers=alice) as response:
            assert response.status == 200

    with attack("drip_bodies", f"localhost:{server.port}", token, BODIES, "60"):
        async with neighbour(read) as reading:
            await reading.has_asked(TIMES)
    assert reading.failures == []
    assert reading.slowest_s < SOON_S
