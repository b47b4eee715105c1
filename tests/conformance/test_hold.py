"""The reference serves the directory of a hold, and Holdfast has its hold back afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pds.hold.records import CAPTAIN, CREW, PROFILE
from tests.conformance.client import Client
from tests.conformance.test_swap_back import running
from tests.processes import free_port, serve
from tests.reference import data
from tests.reference.server import Reference

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(300)]


def seen(client: Client, did: str) -> list[Any]:
    """What anybody can read of the hold."""
    head = client.get("com.atproto.sync.getLatestCommit", did=did)
    assert head.status == 200, head.body
    records = [
        client.get("com.atproto.repo.listRecords", repo=did, collection=collection).json
        for collection in (CAPTAIN, CREW, PROFILE)
    ]
    return [head.json, records]


def test_the_reference_serves_the_hold_as_an_account(reference: Reference, tmp_path: Path) -> None:
    directory, port = data.unpack(tmp_path / "data"), free_port()
    owner = data.manifest()["accounts"]["alice"]["did"]
    environ = data.environment(directory) | {"PDS_DID_PLC_URL": "http://localhost:1"}
    hold = {"PDS_HOLD_ENABLED": "true", "PDS_HOLD_OWNER": owner}
    did, client = f"did:web:localhost%3A{port}", Client(f"http://localhost:{port}")

    with running(serve(environ | hold, port=port, log_file=tmp_path / "1.log", cwd=tmp_path)):
        first = seen(client, did)
        assert first[1][0]["records"][0]["value"]["owner"] == owner
    with running(reference.serve(environ, port=port, log_file=tmp_path / "2.log")):
        assert seen(client, did) == first
    with running(serve(environ | hold, port=port, log_file=tmp_path / "3.log", cwd=tmp_path)):
        assert seen(client, did) == first
