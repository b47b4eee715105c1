"""A real server process for the whole-server tests, and a browser for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.browser import Browser, find_browser
from tests.e2e.forked import Zygote, zygote
from tests.e2e.oauth.installed import installed_clients
from tests.e2e.replicating_server import ReplicatingServer
from tests.e2e.sdk import Network, Person
from tests.e2e.world import Stopped, World, make_stopped
from tests.processes import DevServer


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    """A `pds dev` process that many tests share, each with accounts of its own."""
    server = DevServer.start(tmp_path_factory.mktemp("server"))
    yield server
    assert server.stop() == 0, server.log()
    assert "Traceback" not in server.log()


@pytest.fixture
def network(server: DevServer) -> Iterator[Network]:
    network = Network(server)
    with network.clients:
        yield network


@pytest.fixture
def alice(network: Network) -> Person:
    return network.join()


@pytest.fixture
def bob(network: Network) -> Person:
    return network.join()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    # A connection that is kept would lead to a server that has ended since.
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield session


@pytest.fixture(scope="package")
def forking() -> Iterator[Zygote]:
    """What servers are forked from that a test may end and start again at will."""
    with zygote() as process:
        yield process


@pytest.fixture(scope="package")
def stopped(forking: Zygote, tmp_path_factory: pytest.TempPathFactory) -> Stopped:
    """The data of a server with two accounts that was stopped in order."""
    return make_stopped(forking, tmp_path_factory.mktemp("stopped") / "data")


@pytest.fixture
async def world(stopped: Stopped, tmp_path: Path) -> AsyncIterator[World]:
    """A copy of that data, and a server on it that has yet to be started."""
    async with stopped.copy(tmp_path / "data") as world:
        yield world


@pytest.fixture
def replicated(server: DevServer, tmp_path: Path) -> Iterator[ReplicatingServer]:
    """A server that is replicated to a directory."""
    (tmp_path / "replica").mkdir()
    url = f"file://{tmp_path / 'replica'}"
    pds = ReplicatingServer(tmp_path / "pds", f"http://localhost:{server.plc_port}", url)
    pds.start()
    yield pds
    pds.end()


@pytest.fixture(scope="package")
def clients() -> Path:
    """The directory with what tests use from npm: clients, and axe-core."""
    return installed_clients()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A Chromium, with what the tests of a module have left in it."""
    if find_browser() is None:
        pytest.skip("no Chromium is installed")
    started = Browser.start(tmp_path_factory.mktemp("browser"))
    yield started
    started.close()
