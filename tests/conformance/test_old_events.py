"""What the reference makes of a log whose old events were deleted, and Holdfast after it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from pds.dev.plc_store import PlcStore
from pds.doctor.examination import Options, examine
from sequencer.retention import KeptEvents, Retention
from sequencer.sequencer import Sequencer
from tests.conformance.client import Client, bearer
from tests.conformance.snapshot import latest_seq
from tests.pds.api.firehose import Message
from tests.processes import free_port, serve
from tests.reference import data, plc
from tests.reference.server import Reference

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(300)]

OUTDATED = "#info"


@pytest.mark.parametrize(
    ("backfill_limit_ms", "of_reference"),
    [
        # It tells what is missing by the age of what is left,
        ("86400000", [OUTDATED, "#commit"]),
        # so by nothing else, if that is young enough.
        (str(100 * 365 * 86_400_000), ["#account", "#commit"]),
    ],
)
def test_both_servers_go_on(
    reference: Reference, tmp_path: Path, backfill_limit_ms: str, of_reference: list[str]
) -> None:
    directory, port = data.unpack(tmp_path / "data"), free_port()
    before = latest_seq(directory)
    assert asyncio.run(delete_old_events(directory)) > 10
    assert latest_seq(directory) == before
    store = PlcStore(tmp_path / "plc.sqlite")
    plc.import_logs(store)
    store.close()
    client = Client(f"http://localhost:{port}")
    with plc.directory_of(tmp_path / "plc.sqlite") as plc_url:
        env = data.environment(directory) | {
            "PDS_DID_PLC_URL": plc_url,
            "PDS_REPO_BACKFILL_LIMIT_MS": backfill_limit_ms,
        }
        server = reference.serve(env, port=port, log_file=tmp_path / "reference.log")
        try:
            write(client)
            for cursor in (0, 5):
                messages = follow(client, cursor, before + 1)
                assert [each.kind for each in messages] == of_reference
            assert server.stop() == 0
        finally:
            server.kill()
        server = serve(env, port=port, log_file=tmp_path / "holdfast.log")
        try:
            write(client)
            for cursor in (0, 5):
                messages = follow(client, cursor, before + 2)
                # Holdfast knows that events are missing, whatever their age.
                young = [kind for kind in of_reference if kind != OUTDATED]
                assert [each.kind for each in messages] == [OUTDATED, *young, "#commit"]
            assert server.stop() == 0
        finally:
            server.kill()
        environ = {**env, "PDS_PORT": str(port)}
        report = examine(environ, Options(offline=True))
        assert [each for each in report.findings if each.status == "error"] == []


async def delete_old_events(directory: Path) -> int:
    """Delete all events of the fixture but the newest: they are older than a day."""
    path = directory / "sequencer.sqlite"
    sequencer = Sequencer(path)
    deleted = await Retention(sequencer, path, KeptEvents(age_s=86_400)).sweep()
    await sequencer.close()
    return deleted


def write(client: Client) -> None:
    alice = data.manifest()["accounts"]["alice"]
    credentials = {"identifier": alice["did"], "password": alice["password"]}
    session = client.call("com.atproto.server.createSession", credentials)
    note = {"$type": "com.example.note", "text": "later"}
    body = {"repo": alice["did"], "collection": "com.example.note", "record": note}
    client.call("com.atproto.repo.createRecord", body, bearer(session["accessJwt"]))


def follow(client: Client, cursor: int, last_seq: int) -> list[Message]:
    """Read the firehose up to an event."""

    def seq_of(frame: bytes) -> Any:
        return Message.parse(frame).body.get("seq", 0)

    return [Message.parse(frame) for frame in client.frames(cursor, last_seq, seq_of)]
