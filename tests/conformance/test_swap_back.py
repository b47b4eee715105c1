"""From the reference to Holdfast, back to the reference, and to Holdfast again.

Each server writes, is stopped, and the next starts on the same directory with the same
environment and on the same port. Nothing that was written may look different afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest

from pds.dev.plc_store import PlcStore
from repo.keys import parse_did_key
from repo.syntax import Did
from tests.conformance.client import Client, basic, bearer, signing_key
from tests.conformance.snapshot import Snapshot, take_snapshot
from tests.conformance.writer import Written, reveal_blob, write_all
from tests.pds.api.exports import verify_export
from tests.pds.api.firehose import Message, Mirror
from tests.processes import ServerProcess, free_port, serve
from tests.reference import data, plc
from tests.reference.server import Reference

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(600)]

STAGES = ("first", "reference", "last")
"""Holdfast comes first and last."""
RESIDENTS = ("alice", "dan", "eve")
"""Accounts of the first directory, one for each stage to write to."""
PAIRS = tuple(pairwise(STAGES))
PARTS = ("states", "records", "blobs", "exports", "owned", "listed", "frames")


@dataclass(slots=True)
class Stage:
    """What one server found, and what it served after its writes."""

    found: Snapshot
    written: Written
    left: Snapshot
    found_sessions: dict[str, int] = field(default_factory=dict)
    """Statuses of what was asked with credentials of the server before."""


@dataclass(slots=True)
class Journey:
    """One directory through all stages."""

    directory: Path
    port: int
    plc_url: str
    stages: dict[str, Stage] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of every server."""
        return data.environment(self.directory) | {
            "PDS_DID_PLC_URL": self.plc_url,
            "PDS_INVITE_REQUIRED": "true",
        }

    @property
    def client(self) -> Client:
        return Client(f"http://localhost:{self.port}")

    @property
    def admin(self) -> dict[str, str]:
        return basic("admin", self.environment["PDS_ADMIN_PASSWORD"])

    def log_file(self, name: str) -> Path:
        return self.directory.parent / f"{name}.log"

    def pass_through(self, name: str, resident: str) -> None:
        """Look around on the server that runs, write, look again."""
        manifest = data.manifest()
        before = list(self.stages.values())[-1:]
        passwords = {
            account["did"]: account["password"] for account in manifest["accounts"].values()
        }
        for stage in self.stages.values():
            passwords |= stage.written.passwords
        found = take_snapshot(self.client, self.directory, passwords)
        sessions = use_credentials(self.client, self.admin, before[0].written) if before else {}
        account = manifest["accounts"][resident]
        written = write_all(
            self.client,
            self.admin,
            tag=name,
            invite_code=before[0].written.invite_code if before else manifest["inviteCode"],
            resident=(account["did"], account["password"]),
        )
        passwords |= written.passwords
        left = take_snapshot(self.client, self.directory, passwords)
        self.stages[name] = Stage(found, written, left, sessions)


def use_credentials(client: Client, admin: dict[str, str], written: Written) -> dict[str, int]:
    """What the credentials are worth that another server gave out."""
    name, session = next(iter(written.sessions.items()))
    sleeper = next(key for key in written.sessions if key.startswith("sleeper"))
    app_login = {"identifier": session["did"], "password": written.app_password}
    reveal_blob(client, admin, written.hidden_blob)
    statuses = {
        "access token": client.get(
            "com.atproto.server.getSession", bearer(session["accessJwt"])
        ).status,
        "refresh token": client.post(
            "com.atproto.server.refreshSession", headers=bearer(session["refreshJwt"])
        ).status,
        "app password": client.post("com.atproto.server.createSession", app_login).status,
        "activation": client.post(
            "com.atproto.server.activateAccount",
            headers=bearer(written.sessions[sleeper]["accessJwt"]),
        ).status,
        "blob": client.get("com.atproto.sync.getBlob", None, **written.hidden_blob).status,
    }
    assert name.startswith("writer")
    return statuses


@contextmanager
def running(server: ServerProcess) -> Iterator[None]:
    try:
        yield
        assert server.stop() == 0, server.log()
    finally:
        server.kill()


@pytest.fixture(scope="module")
def journey(reference: Reference, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    """The whole way; it takes as long as four starts of a server."""
    home = tmp_path_factory.mktemp("journey")
    port = free_port()
    store = PlcStore(home / "plc.sqlite")
    plc.import_logs(store)
    for account in data.manifest()["accounts"].values():
        plc.move(store, Did(account["did"]), f"http://localhost:{port}")
    store.close()
    with plc.directory_of(home / "plc.sqlite") as plc_url:
        journey = Journey(data.unpack(home / "data"), port, plc_url)
        for name, resident in zip(STAGES, RESIDENTS, strict=True):
            start = reference.serve if name == "reference" else serve
            server = start(journey.environment, port=port, log_file=journey.log_file(name))
            with running(server):
                journey.pass_through(name, resident)
        yield journey


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_the_next_server_says_the_same(
    journey: Journey, before: str, after: str, part: str
) -> None:
    left = getattr(journey.stages[before].left, part)
    found = getattr(journey.stages[after].found, part)
    assert found == left


@pytest.mark.parametrize("stage", STAGES[1:])
def test_credentials_of_the_server_before_are_good(journey: Journey, stage: str) -> None:
    assert journey.stages[stage].found_sessions == dict.fromkeys(
        ("access token", "refresh token", "app password", "activation", "blob"), 200
    )


@pytest.mark.parametrize("stage", STAGES)
def test_the_official_library_verifies_every_repository(
    journey: Journey, reference: Reference, tmp_path: Path, stage: str
) -> None:
    snapshot = journey.stages[stage].left
    assert len(snapshot.exports) >= 5
    for did, car in snapshot.exports.items():
        path = tmp_path / "repo.car"
        path.write_bytes(car)
        verified = reference.verify(did, signing_key(journey.plc_url, did), path)
        assert verified.rev == snapshot.states[did]["head"]["rev"]
        assert verified.records == {
            record["uri"].removeprefix(f"at://{did}/"): record["cid"]
            for record in snapshot.records[did]
        }


def test_the_firehose_is_one_sound_history(journey: Journey) -> None:
    last = journey.stages[STAGES[-1]].left
    messages = [Message.parse(frame) for frame in last.frames]
    seqs = [message.seq for message in messages]
    assert seqs == list(range(1, len(seqs) + 1))
    for did, car in last.exports.items():
        key = parse_did_key(signing_key(journey.plc_url, did))
        mirror = Mirror(key)
        for message in messages:
            if did in (message.body.get("repo"), message.body.get("did")):
                mirror.follow(message)
        mirror.check(verify_export(car, did, key))


@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_events_and_revs_go_on(journey: Journey, before: str, after: str) -> None:
    earlier, later = journey.stages[before].left, journey.stages[after].left
    assert later.frames[: len(earlier.frames)] == earlier.frames
    assert len(later.frames) > len(earlier.frames)
    for did, state in earlier.states.items():
        old, new = state["head"].get("rev"), later.states[did]["head"].get("rev")
        assert old is None or new is None or new >= old
