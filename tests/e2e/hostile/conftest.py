"""A server for each module of attacks: what they leave behind is not for other tests to find."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.processes import DevServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    """A `pds dev` process that the tests of one module share."""
    server = DevServer.start(tmp_path_factory.mktemp("server"))
    yield server
    assert server.stop() == 0, server.log()
    assert "Traceback" not in server.log()
