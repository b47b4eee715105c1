"""Servers that the commands of these tests meet: one that runs, and one that was stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.request import Request, urlopen

import pytest

from tests.processes import DevServer, run_pds


class OperatedServer:
    """A server, and the commands an operator gives to it."""

    def __init__(self, server: DevServer) -> None:
        self.server = server

    def run(self, *args: str) -> str:
        """Run a command with the server's settings to its success; return its output."""
        done = run_pds(*args, "--env-file", str(self.server.env_file))
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refuse(self, *args: str, **environ: str) -> str:
        """Run a command that fails; return its message, which is no traceback."""
        done = run_pds(*args, "--env-file", str(self.server.env_file), env=environ)
        assert done.returncode == 1, (done.stdout, done.stderr)
        assert done.stdout == ""
        assert done.stderr.startswith("Error: ")
        assert "Traceback" not in done.stderr
        return done.stderr

    def post(self, nsid: str, body: dict[str, Any]) -> dict[str, Any]:
        """Call a procedure of the running server, without a session."""
        request = Request(  # noqa: S310
            f"{self.server.url}/xrpc/{nsid}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urlopen(request, timeout=10) as response:  # noqa: S310
            answer: dict[str, Any] = json.load(response)
        return answer


@pytest.fixture(scope="package")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatedServer]:
    """A `pds dev` process that runs while the tests do."""
    server = DevServer.start(tmp_path_factory.mktemp("running"))
    yield OperatedServer(server)
    server.stop()


@pytest.fixture(scope="package")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> OperatedServer:
    """The files of a `pds dev` server that has alice as its account and does not run."""
    operated = OperatedServer(DevServer.start(tmp_path_factory.mktemp("stopped")))
    operated.run("account", "create", "alice@example.com", "alice.test")
    assert operated.server.stop() == 0
    return operated
