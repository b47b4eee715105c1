"""Name servers that say nothing, and what their silence costs those who do not ask them."""

from __future__ import annotations

import itertools
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import aiohttp
import pytest

from tests.appview import Answer, AppView, serve_appview
from tests.e2e.hostile.attack import attack
from tests.e2e.hostile.neighbour import neighbour
from tests.e2e.hostile.scale import scaled
from tests.processes import ServerProcess, clean_environment, free_port

TIMELINE: Final = "app.bsky.feed.getTimeline"
ELSEWHERE: Final = {"X-Forwarded-For": "192.0.2.7"}
"""The neighbour's address; the attack comes from this machine."""
RATE: Final = scaled("20", "100")
TIMES: Final = scaled(5, 100)
SOON_S: Final = 5.0
"""Far more than either takes, and less than a look-up that has to be given up first."""


@pytest.fixture
def appview() -> Iterator[AppView]:
    with serve_appview() as appview:
        # A connection is made for each request, and with it a look-up of the AppView's name.
        appview.answers[TIMELINE] = Answer({"feed": []}, headers={"connection": "close"})
        yield appview


@pytest.fixture
def server(tmp_path: Path, appview: AppView) -> Iterator[ServerProcess]:
    """A server whose name server is silent about everything."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        port, options = free_port(), ("--data", str(tmp_path), "--plc-port", str(free_port()))
        name_server = str(silent.getsockname()[1])
        program = [sys.executable, "-m", "tests.e2e.hostile.server_asking", name_server]
        server = ServerProcess.launch(
            [*program, "dev", "--port", str(port), *options],
            url=f"http://localhost:{port}",
            log_file=tmp_path / "server.log",
            env=clean_environment(appview.environment),
        )
        yield server
        assert server.stop() == 0, server.log()
        assert "Traceback" not in server.log()


@pytest.fixture
async def http(server: ServerProcess) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(server.url, headers=ELSEWHERE) as http:
        yield http


async def sign_up(http: aiohttp.ClientSession, name: str) -> dict[str, str]:
    """A new account's session, as headers."""
    account = {"handle": f"{name}.test", "email": f"{name}@example.com", "password": "password"}
    async with http.post("/xrpc/com.atproto.server.createAccount", json=account) as response:
        assert response.status == 200, await response.text()
        return {"Authorization": f"Bearer {(await response.json())['accessJwt']}"}


async def test_silent_name_servers_delay_neither_signups_nor_what_is_passed_on(
    server: ServerProcess, http: aiohttp.ClientSession
) -> None:
    numbers = itertools.count()

    async def join() -> None:
        await sign_up(http, f"user{next(numbers)}")

    with attack("silent_names", server.url, RATE, "90"):
        # The first of each: the server has yet to look up the names of its own services.
        alice = await sign_up(http, "alice")

        async def read() -> None:
            async with http.get(f"/xrpc/{TIMELINE}", headers=alice) as response:
                assert response.status == 200

        async with neighbour(join, pause_s=0.3) as joining, neighbour(read) as reading:
            await joining.has_asked(TIMES)
    for seen in (joining, reading):
        assert seen.failures == []
        assert seen.slowest_s < SOON_S
