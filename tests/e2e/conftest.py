"""A real server process for the whole-server tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.e2e.forked import Zygote, zygote
from tests.e2e.replicating_server import ReplicatingServer
from tests.e2e.sdk import Network, Person
from tests.e2e.soak import at_length_only
from tests.e2e.world import Stopped, World, make_stopped
from tests.processes import DevServer
from tests.seaweedfs import SeaweedFs


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


@pytest.fixture(params=["file", pytest.param("s3", marks=at_length_only)])
def replica_place(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[str, dict[str, str]]]:
    """The URL of a place for a replica, and the credentials for it."""
    if request.param == "file":
        yield directory_place(tmp_path), {}
        return
    seaweed: SeaweedFs = request.getfixturevalue("seaweedfs")
    bucket = asyncio.run(seaweed.create_bucket()).bucket
    credentials = {
        "LITESTREAM_ACCESS_KEY_ID": seaweed.access_key_id,
        "LITESTREAM_SECRET_ACCESS_KEY": seaweed.secret_access_key,
    }
    yield f"s3://{bucket}/pds?endpoint={seaweed.url}", credentials


@pytest.fixture
def replicated(
    server: DevServer, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[ReplicatingServer]:
    """A server that is replicated, to a directory if the test does not use `replica_place`."""
    if "replica_place" in request.fixturenames:
        url, more = request.getfixturevalue("replica_place")
    else:
        url, more = directory_place(tmp_path), {}
    pds = ReplicatingServer(tmp_path / "pds", f"http://localhost:{server.plc_port}", url, more)
    pds.start()
    yield pds
    pds.end()


def directory_place(tmp_path: Path) -> str:
    """Make a directory for a replica, and return its URL."""
    (tmp_path / "replica").mkdir()
    return f"file://{tmp_path / 'replica'}"
