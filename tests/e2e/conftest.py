"""A real server process for the whole-server tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.sdk import Network, Person
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
