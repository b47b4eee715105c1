"""Repositories that another key than the DID's present one has signed come in, to either server.

These are what the protocol's guide to recovery leads to, and what people do when a move fails
half-way. Each server is also asked twice for the account, as migration tools do that resume.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import pytest

from identity.plc_data import PlcData, PlcService
from identity.plc_operation import PlcOperation
from pds.service_auth.jwt import create_service_jwt
from repo.keys import K256PrivateKey, PrivateKey
from repo.syntax import Did
from tests.conformance.client import Client, Reply, bearer
from tests.pds.api.imports import CAR_TYPE, IMPORT, Repo
from tests.pds.api.records import NOTE
from tests.processes import free_port, serve
from tests.reference import data, plc
from tests.reference.server import Reference

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(300)]

CREATE = "com.atproto.server.createAccount"
ACTIVATE = "com.atproto.server.activateAccount"
RECOMMENDED = "com.atproto.identity.getRecommendedDidCredentials"
RECORDS = {f"{NOTE}/{rkey}": {"$type": NOTE, "text": rkey} for rkey in ("a", "b")}


@dataclass(slots=True, frozen=True)
class Host:
    """The server that people move to, and its PLC directory."""

    client: Client
    directory: Client
    did: str


@pytest.fixture(scope="module", params=["reference", "holdfast"])
def host(
    request: pytest.FixtureRequest, reference: Reference, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Host]:
    root = tmp_path_factory.mktemp(request.param)
    (root / "data" / "blobs").mkdir(parents=True)
    with ExitStack() as stack:
        plc_url = stack.enter_context(plc.directory_of(root / "plc.sqlite"))
        port = free_port()
        environment = data.environment(root / "data") | {
            "PDS_DID_PLC_URL": plc_url,
            "PDS_SERVICE_DID": "did:web:new.example",
        }
        run = reference.serve if request.param == "reference" else serve
        server = run(environment, port=port, log_file=root / "log")
        stack.callback(server.kill)
        stack.callback(server.stop)
        yield Host(Client(f"http://localhost:{port}"), Client(plc_url), "did:web:new.example")


class Mover:
    """Somebody with a rotation key, and with a repository that the first server has signed."""

    def __init__(self, host: Host, name: str) -> None:
        self.host = host
        self.name = name
        self.rotation_key, self.first_key = K256PrivateKey.generate(), K256PrivateKey.generate()
        self.key: PrivateKey = self.first_key
        """Signs service tokens."""
        self.data = PlcData(
            rotation_keys=(self.rotation_key.did_key,),
            verification_methods={"atproto": self.first_key.did_key},
            also_known_as=(f"at://{name}.test",),
            services={
                "atproto_pds": PlcService("AtprotoPersonalDataServer", "https://old.example")
            },
        )
        self.last = PlcOperation.sign(self.data, prev=None, key=self.rotation_key)
        self.did = Did(self.last.did())
        self._send()
        self.session: Any = None

    def name_key(self, key: PrivateKey) -> None:
        """Let the DID name another signing key, which signs tokens from now on."""
        self.update(replace(self.data, verification_methods={"atproto": key.did_key}))
        self.key = key

    def update(self, data: PlcData) -> None:
        self.data = data
        self.last = PlcOperation.sign(data, prev=self.last.cid, key=self.rotation_key)
        self._send()

    def create_account(self) -> Reply:
        now_s = int(time.time())
        token = create_service_jwt(
            self.key,
            iss=self.did,
            aud=self.host.did,
            now_s=now_s,
            lxm=CREATE,
            expires_at=now_s + 60,
        )
        body = {
            "did": self.did,
            "handle": f"{self.name}.test",
            "email": f"{self.name}@example.com",
            "password": "mover-password",
        }
        reply = self.host.client.post(CREATE, body, bearer(token))
        if reply.status == 200:
            self.session = bearer(reply.json["accessJwt"])
        return reply

    def import_old_repo(self) -> None:
        """Import what the first server has signed, and see that it is there."""
        reply = self.host.client.request(
            "POST",
            f"/xrpc/{IMPORT}",
            headers={**self.session, "Content-Type": CAR_TYPE},
            body=Repo.of(self.did, self.first_key, RECORDS).car(),
        )
        assert (reply.status, reply.body) == (200, b"")
        status = self.host.client.call(
            "com.atproto.server.checkAccountStatus", headers=self.session
        )
        assert status["indexedRecords"] == len(RECORDS)

    def lead_here(self) -> None:
        """Let the DID say what the server recommends."""
        wanted = self.host.client.call(RECOMMENDED, headers=self.session)
        keys = [self.rotation_key.did_key, *wanted["rotationKeys"]]
        self.update(PlcData.from_json({**wanted, "rotationKeys": keys}))

    def activate(self) -> None:
        reply = self.host.client.post(ACTIVATE, headers=self.session)
        assert (reply.status, reply.body) == (200, b"")

    def _send(self) -> None:
        reply = self.host.directory.request(
            "POST",
            f"/{self.did}",
            headers={"Content-Type": "application/json"},
            body=json.dumps(self.last.to_json()).encode(),
        )
        assert reply.status == 200, reply.body


def test_recovery_with_a_signing_key_of_one_s_own(host: Host) -> None:
    mover = Mover(host, "recovering")
    mover.name_key(K256PrivateKey.generate())
    assert mover.create_account().status == 200
    mover.import_old_repo()
    mover.lead_here()
    mover.activate()


def test_the_did_is_changed_first(host: Host) -> None:
    mover = Mover(host, "hasty")
    assert mover.create_account().status == 200
    mover.lead_here()
    mover.import_old_repo()
    mover.activate()


def test_two_moves_with_nothing_written_in_between(host: Host) -> None:
    mover = Mover(host, "restless")
    mover.name_key(K256PrivateKey.generate())
    mover.name_key(K256PrivateKey.generate())
    assert mover.create_account().status == 200
    mover.import_old_repo()
    mover.lead_here()
    mover.activate()


def test_the_old_repository_is_brought_again_after_the_move(host: Host) -> None:
    mover = Mover(host, "returning")
    assert mover.create_account().status == 200
    mover.import_old_repo()
    mover.lead_here()
    mover.activate()
    mover.import_old_repo()


def test_a_deactivated_account_already_exists(host: Host) -> None:
    mover = Mover(host, "resuming")
    assert mover.create_account().status == 200
    again = mover.create_account()
    assert (again.status, again.json["error"]) == (400, "AlreadyExists")
    assert again.json["message"].startswith("Repo already exists")


def test_a_handle_of_another_is_taken(host: Host) -> None:
    first, second = Mover(host, "wanted"), Mover(host, "wanted")
    assert first.create_account().status == 200
    first.lead_here()
    first.activate()
    taken = second.create_account()
    assert (taken.status, taken.json["error"]) == (400, "InvalidRequest")
    assert taken.json["message"] == "Handle already taken: wanted.test"
