"""A server that other people's clients sign in at, and those clients."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.sdk import Network, Person
from tests.processes import DevServer
from tests.tls import Certificate, certificate_of

APP_HOST = "app.example.org"
"""Where apps are that are on the web. The server finds it on this machine, and trusts it."""


@pytest.fixture(scope="package")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Certificate, Path]:
    """That of `APP_HOST`, and the file with it."""
    directory = tmp_path_factory.mktemp("certificate")
    return certificate_of([APP_HOST], directory), directory / "certificate.pem"


@pytest.fixture(scope="package")
def server(
    tmp_path_factory: pytest.TempPathFactory, certificate: tuple[Certificate, Path]
) -> Iterator[DevServer]:
    """A `pds dev` process that can reach `APP_HOST`."""
    directory = tmp_path_factory.mktemp("server")
    hosts = directory / "hosts"
    hosts.write_text(f"127.0.0.1 {APP_HOST}\n")
    server = DevServer.start(
        directory / "data",
        env={"SSL_CERT_FILE": str(certificate[1])},
        module=("tests.e2e.oauth.own_hosts", str(hosts)),
    )
    yield server
    assert server.stop() == 0, server.log()
    assert "Traceback" not in server.log()


@dataclass
class RemoteSite:
    """The server as a browser knows it."""

    public_url: str
    url: str
    http: aiohttp.ClientSession


@pytest.fixture
async def site(server: DevServer) -> AsyncIterator[RemoteSite]:
    async with aiohttp.ClientSession() as http:
        yield RemoteSite(server.url, server.url, http)


@pytest.fixture
def alice(network: Network) -> Person:
    return network.join()


def sessions_of(server: DevServer, person: Person) -> int:
    """How many sessions the server has for apps of a person."""
    with closing(sqlite3.connect(server.data / "account.sqlite")) as db:
        query = "SELECT count(*) FROM token WHERE did = ?"
        (number,) = db.execute(query, (person.did,)).fetchone()
    return int(number)
