"""A server is killed at its work, and the other one takes over the directory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pds.dev.plc_store import PlcStore
from repo.keys import parse_did_key
from tests.conformance.client import Client, bearer, signing_key
from tests.conformance.snapshot import latest_seq
from tests.pds.api.exports import verify_export
from tests.pds.api.firehose import Message, Mirror
from tests.processes import ServerProcess, free_port, serve
from tests.reference import data, plc
from tests.reference.server import Reference

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(300)]

NOTE = "com.example.note"
WRITES = 40


@pytest.mark.parametrize("killed", ["reference", "holdfast"])
def test_nothing_that_was_answered_is_lost(
    reference: Reference, tmp_path: Path, killed: str
) -> None:
    directory, port = data.unpack(tmp_path / "data"), free_port()
    store = PlcStore(tmp_path / "plc.sqlite")
    plc.import_logs(store)
    store.close()
    with plc.directory_of(tmp_path / "plc.sqlite") as plc_url:
        env = data.environment(directory) | {"PDS_DID_PLC_URL": plc_url}

        def started(by: str) -> ServerProcess:
            start = reference.serve if by == "reference" else serve
            return start(env, port=port, log_file=tmp_path / f"{by}.log")

        client = Client(f"http://localhost:{port}")
        first = started(killed)
        session, written = write_and_kill(client, first.kill)
        second = started("holdfast" if killed == "reference" else "reference")
        try:
            after = create(client, session, WRITES)
            check(client, directory, reference, plc_url, session["did"], [*written, after])
            assert second.stop() == 0
        finally:
            second.kill()


def write_and_kill(client: Client, kill: Callable[[], None]) -> tuple[Any, list[Any]]:
    """Write to alice's repository and end the server right after its last answer."""
    alice = data.manifest()["accounts"]["alice"]
    credentials = {"identifier": alice["did"], "password": alice["password"]}
    session = client.call("com.atproto.server.createSession", credentials)
    try:
        return session, [create(client, session, number) for number in range(WRITES)]
    finally:
        kill()


def create(client: Client, session: Any, number: int) -> Any:
    record = {"$type": NOTE, "n": number}
    body = {"repo": session["did"], "collection": NOTE, "rkey": f"n{number}", "record": record}
    headers = bearer(session["accessJwt"])
    return client.call("com.atproto.repo.createRecord", body, headers)


def check(
    client: Client,
    directory: Path,
    reference: Reference,
    plc_url: str,
    did: str,
    written: list[Any],
) -> None:
    """Every write is in the repository and, in its order and without a gap, in the firehose."""
    key = signing_key(plc_url, did)
    car = client.get("com.atproto.sync.getRepo", did=did).body
    path = directory.parent / "repo.car"
    path.write_bytes(car)
    verified = reference.verify(did, key, path)
    for one in written:
        assert verified.records[one["uri"].removeprefix(f"at://{did}/")] == one["cid"]
    frames = client.frames(0, latest_seq(directory), lambda frame: Message.parse(frame).seq)
    messages = [Message.parse(frame) for frame in frames]
    assert [message.seq for message in messages] == list(range(1, len(messages) + 1))
    mirror = Mirror(parse_did_key(key))
    for message in messages:
        if did in (message.body.get("repo"), message.body.get("did")):
            mirror.follow(message)
    revs = [message.body["rev"] for message in messages if message.body.get("repo") == did]
    assert revs[-len(written) :] == [one["commit"]["rev"] for one in written]
    mirror.check(verify_export(car, did, parse_did_key(key)))
