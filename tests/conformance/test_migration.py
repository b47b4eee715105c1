"""Moving accounts between the reference and Holdfast, both ways, with the official client."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from identity.did_document import DidDocument
from repo.commit import decode_commit
from repo.keys import parse_did_key
from repo.syntax import Did
from tests.conformance.client import Client, bearer, signing_key
from tests.conformance.snapshot import Snapshot, take_snapshot
from tests.conformance.writer import write_account
from tests.pds.api.exports import read_car, verify_export
from tests.pds.api.firehose import Message
from tests.processes import ServerProcess, clean_environment, free_port, serve
from tests.reference import data, plc
from tests.reference.server import Reference

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(300)]

ROUTES = (("reference", "holdfast"), ("holdfast", "reference"), ("holdfast", "holdfast"))


@dataclass(slots=True)
class Host:
    """One server of the two, with a directory and a domain of its own."""

    directory: Path
    port: int
    domain: str
    plc_url: str

    @property
    def client(self) -> Client:
        return Client(f"http://localhost:{self.port}")

    @property
    def did(self) -> str:
        return f"did:web:{self.domain}.example"

    @property
    def environment(self) -> dict[str, str]:
        return data.environment(self.directory) | {
            "PDS_DID_PLC_URL": self.plc_url,
            "PDS_SERVICE_DID": self.did,
            "PDS_SERVICE_HANDLE_DOMAINS": f".{self.domain}.test",
        }

    def code_of(self, did: str) -> str:
        """The code that was mailed to an account for a change of its DID."""
        with closing(sqlite3.connect(self.directory / "account.sqlite")) as db:
            row = db.execute(
                "SELECT token FROM email_token WHERE did = ? AND purpose = 'plc_operation'", (did,)
            ).fetchone()
        return str(row[0])


@dataclass(slots=True)
class Move:
    """An account that was moved, and all that was seen of it before and after."""

    did: str
    new_kind: str
    old: Host
    new: Host
    plc_url: str
    before: Snapshot
    told: Any
    """What the new server said of the account on the way."""
    after: Snapshot

    @property
    def old_state(self) -> Any:
        """What the old server says of it now."""
        return self.old.client.call("com.atproto.sync.getRepoStatus", did=self.did)

    def document(self) -> DidDocument:
        """The DID document as it is now."""
        raw = json.loads(Client(self.plc_url).request("GET", f"/{self.did}").body)
        return DidDocument.parse(raw, Did(self.did))

    def events(self) -> list[Message]:
        """What the new server's firehose has told of the account."""
        frames = self.after.frames
        return [message for message in map(Message.parse, frames) if _did_of(message) == self.did]


@pytest.fixture(scope="module", params=ROUTES, ids="-to-".join)
def move(
    request: pytest.FixtureRequest, reference: Reference, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Move]:
    """An account that has just been moved; both servers still run."""
    root = tmp_path_factory.mktemp("-to-".join(request.param))
    with hosts(request.param, reference, root) as (old, new):
        did, password = write_account(old.client, "mover", domain=f".{old.domain}.test")
        before = take_snapshot(old.client, old.directory, {did: password})
        told = migrate(reference, old, new, did, password)
        after = take_snapshot(new.client, new.directory, {did: password})
        yield Move(did, request.param[1], old, new, old.plc_url, before, told, after)


@contextmanager
def hosts(route: tuple[str, str], reference: Reference, root: Path) -> Iterator[tuple[Host, Host]]:
    """Two servers that share a PLC directory, the old one first."""
    with ExitStack() as stack:
        plc_url = stack.enter_context(plc.directory_of(root / "plc.sqlite"))
        made = []
        for kind, domain in zip(route, ("old", "new"), strict=True):
            directory = root / domain
            (directory / "blobs").mkdir(parents=True)
            host = Host(directory, free_port(), domain, plc_url)
            server = _start(kind, host, reference, root / f"{domain}.log")
            stack.callback(server.kill)
            stack.callback(server.stop)
            made.append(host)
        yield made[0], made[1]


def _start(kind: str, host: Host, reference: Reference, log_file: Path) -> ServerProcess:
    run = reference.serve if kind == "reference" else serve
    return run(host.environment, port=host.port, log_file=log_file)


def migrate(reference: Reference, old: Host, new: Host, did: str, password: str) -> Any:
    """Run the official client's part to its end; returns what it printed last."""
    variables = {
        "OLD": old.client.url,
        "NEW": new.client.url,
        "NEW_DID": new.did,
        "DID": did,
        "PASSWORD": password,
        "HANDLE": f"moved.{new.domain}.test",
    }
    with subprocess.Popen(  # noqa: S603 (our own script)
        [str(reference.node), str(reference.scripts / "migrate.mjs")],
        env=clean_environment(variables),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        assert client.stderr is not None
        asked = client.stdout.readline()
        if asked.strip() == "code?":
            client.stdin.write(f"{old.code_of(did)}\n")
            client.stdin.flush()
        printed, complaints = client.stdout.read(), client.stderr.read()
        assert client.wait(60) == 0, complaints
    return json.loads(printed)


def test_the_client_found_everything_it_had_to_bring(move: Move) -> None:
    imported, ready, active = (move.told[stage] for stage in ("imported", "ready", "active"))
    assert (imported["activated"], imported["validDid"]) == (False, False)
    assert imported["indexedRecords"] == len(move.before.records[move.did])
    assert imported["expectedBlobs"] == len(move.before.blobs[move.did])
    assert imported["importedBlobs"] == 0
    assert (ready["activated"], ready["validDid"]) == (False, True)
    assert ready["importedBlobs"] == ready["expectedBlobs"]
    assert (active["activated"], active["validDid"]) == (True, True)


def test_records_and_blobs_are_the_same(move: Move) -> None:
    assert move.before.records[move.did]
    assert move.after.records[move.did] == move.before.records[move.did]
    assert move.before.blobs[move.did]
    assert move.after.blobs[move.did] == move.before.blobs[move.did]


def test_preferences_are_the_same(move: Move) -> None:
    before, after = (snapshot.owned[move.did] for snapshot in (move.before, move.after))
    assert before["preferences"]["preferences"]
    assert after["preferences"] == before["preferences"]


def test_the_did_names_the_new_server_handle_and_key(move: Move) -> None:
    document = move.document()
    handle = f"moved.{move.new.domain}.test"
    assert document.pds_endpoint == move.new.client.url
    assert document.handle == handle
    resolved = move.new.client.call("com.atproto.identity.resolveHandle", handle=handle)
    assert resolved == {"did": move.did}


def test_the_old_server_has_let_the_account_go(move: Move) -> None:
    assert move.old_state == {"did": move.did, "active": False, "status": "deactivated"}


def test_the_firehose_tells_of_the_account_once_it_is_active(move: Move) -> None:
    kinds = [message.kind for message in move.events() if message.kind != "#commit"]
    # The reference tells of the changed DID when it is submitted, before the account is active.
    assert kinds == ["#identity", "#account", "#identity", "#sync"]


def test_the_export_is_sound_under_the_key_of_the_did_once_something_is_written(
    move: Move, reference: Reference, tmp_path: Path
) -> None:
    client = move.new.client
    login = {"identifier": move.did, "password": "mover-password"}
    session = client.call("com.atproto.server.createSession", login)
    record = {"$type": "com.example.note", "n": 1}
    body = {"repo": move.did, "collection": "com.example.note", "record": record}
    written = client.call("com.atproto.repo.createRecord", body, bearer(session["accessJwt"]))
    car = client.get("com.atproto.sync.getRepo", did=move.did).body
    key = signing_key(move.plc_url, move.did)
    export = verify_export(car, move.did, parse_did_key(key))
    assert str(export.head) == written["commit"]["cid"]
    (tmp_path / "repo.car").write_bytes(car)
    verified = reference.verify(move.did, key, tmp_path / "repo.car")
    assert verified.records == {path: str(cid) for path, cid in export.records.items()}


def test_holdfast_announces_a_commit_that_consumers_can_verify(move: Move) -> None:
    (sync,) = (message for message in move.events() if message.kind == "#sync")
    (root,), blocks = read_car(sync.body["blocks"])
    commit = decode_commit(blocks[root])
    key = parse_did_key(signing_key(move.plc_url, move.did))
    if move.new_kind == "reference":
        # It announces the old server's commit, whose signature is not of the new key.
        assert not commit.verify(key)
        return
    assert commit.verify(key)
    assert commit.rev == sync.body["rev"]


def _did_of(message: Message) -> str:
    return str(message.body.get("did") or message.body.get("repo"))
