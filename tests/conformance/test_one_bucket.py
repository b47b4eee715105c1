"""The reference and Holdfast, in turn, on one data directory and one bucket.

What either has stored there the other finds: permanent blobs, uploads that no record refers to yet,
blobs in quarantine, whole or by parts.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from actor_store.blob_store.s3_bucket import S3Bucket
from actor_store.blob_store.s3_location import S3Location
from tests.conformance.client import Client, basic, bearer
from tests.processes import ServerProcess, free_port, serve
from tests.reference import data, plc
from tests.reference.server import Reference
from tests.seaweedfs import SeaweedFs

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(600)]

Starts = dict[str, Callable[[dict[str, str]], ServerProcess]]
_COLLECTION = "com.example.file"
_SIZES = (100, 6_000_000)
"""The second is sent in two parts."""
_PASSWORD = "correct-horse"


@dataclass(slots=True)
class Owner:
    """An account, and what it has stored on either server."""

    client: Client
    admin: dict[str, str]
    did: str
    auth: dict[str, str]
    posted: dict[str, bytes] = field(default_factory=dict)
    """Bytes by CID."""
    drafts: list[tuple[Any, bytes]] = field(default_factory=list)
    hidden: dict[str, bytes] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)

    def log_in(self) -> None:
        """Begin a session."""
        body = {"identifier": self.did, "password": _PASSWORD}
        session = self.client.call("com.atproto.server.createSession", body)
        self.auth = bearer(session["accessJwt"])

    def look(self) -> None:
        """Everything that was stored before is there, and nothing that was deleted."""
        for cid, stored in self.posted.items():
            reply = self._get(cid)
            assert (reply.status, reply.body) == (200, stored)
        for cid in self.deleted | self.hidden.keys():
            assert self._get(cid).status == 400

    def go_on(self) -> None:
        """Finish what was begun on the server before."""
        for blob, stored in self.drafts:
            self._post(blob)
            self.posted[blob["ref"]["$link"]] = stored
        for cid, stored in self.hidden.items():
            self._take_down(cid, applied=False)
            self.posted[cid] = stored
        self.drafts.clear()
        self.hidden.clear()

    def write(self) -> None:
        """Store, draft, hide and delete blobs of each size."""
        for size in _SIZES:
            posted, drafted, hidden, deleted = (os.urandom(size) for _ in range(4))
            blob = self._upload(posted)
            self._post(blob)
            self.posted[blob["ref"]["$link"]] = posted
            self.drafts.append((self._upload(drafted), drafted))
            blob = self._upload(hidden)
            self._post(blob)
            self._take_down(blob["ref"]["$link"], applied=True)
            self.hidden[blob["ref"]["$link"]] = hidden
            blob = self._upload(deleted)
            rkey = self._post(blob)
            body = {"repo": self.did, "collection": _COLLECTION, "rkey": rkey}
            self.client.call("com.atproto.repo.deleteRecord", body, self.auth)
            self.deleted.add(blob["ref"]["$link"])

    def _get(self, cid: str) -> Any:
        return self.client.get("com.atproto.sync.getBlob", None, did=self.did, cid=cid)

    def _upload(self, stored: bytes) -> Any:
        headers = {**self.auth, "Content-Type": "image/png"}
        path = "/xrpc/com.atproto.repo.uploadBlob"
        reply = self.client.request("POST", path, headers=headers, body=stored)
        assert reply.status == 200, reply.body
        return reply.json["blob"]

    def _post(self, blob: Any) -> str:
        record = {"$type": _COLLECTION, "file": blob}
        body = {"repo": self.did, "collection": _COLLECTION, "record": record}
        uri: str = self.client.call("com.atproto.repo.createRecord", body, self.auth)["uri"]
        return uri.rpartition("/")[2]

    def _take_down(self, cid: str, *, applied: bool) -> None:
        subject = {"$type": "com.atproto.admin.defs#repoBlobRef", "did": self.did, "cid": cid}
        body = {"subject": subject, "takedown": {"applied": applied}}
        self.client.call("com.atproto.admin.updateSubjectStatus", body, self.admin)


@pytest.fixture
def servers(
    tmp_path: Path, reference: Reference, seaweedfs: SeaweedFs
) -> tuple[dict[str, str], Starts]:
    """The environment of both servers on an empty directory and bucket, and how each is started."""
    directory, port = tmp_path / "data", free_port()
    directory.mkdir()
    location = asyncio.run(seaweedfs.create_bucket())
    environment = {
        name: value for name, value in data.environment(directory).items() if "DISK" not in name
    }
    environment |= seaweedfs.environ(location.bucket)
    environment |= {"PDS_PORT": str(port), "PDS_BLOB_UPLOAD_LIMIT": "10000000"}
    log_file = tmp_path / "log"
    return environment, {
        "reference": lambda env: reference.serve(env, port=port, log_file=log_file),
        "holdfast": lambda env: serve(env, port=port, log_file=log_file),
    }


async def _keys(location: S3Location) -> list[str]:
    bucket = S3Bucket(location)
    try:
        return [info.key async for info in bucket.list("")]
    finally:
        await bucket.close()


def test_either_server_finds_what_the_other_has_stored(
    tmp_path: Path,
    seaweedfs: SeaweedFs,
    servers: tuple[dict[str, str], Starts],
) -> None:
    environment, start = servers
    client = Client(f"http://localhost:{environment['PDS_PORT']}")
    owner: Owner | None = None
    with plc.directory_of(tmp_path / "plc.sqlite") as plc_url:
        environment["PDS_DID_PLC_URL"] = plc_url
        for name in ("reference", "holdfast", "reference", "holdfast"):
            server = start[name](environment)
            try:
                if owner is None:
                    owner = _sign_up(client, basic("admin", environment["PDS_ADMIN_PASSWORD"]))
                owner.log_in()
                owner.look()
                owner.go_on()
                owner.look()
                owner.write()
                assert server.stop() == 0, server.log()
            finally:
                server.kill()
    assert owner is not None
    keys = asyncio.run(_keys(seaweedfs.location(environment["PDS_BLOBSTORE_S3_BUCKET"])))
    assert {key for key in keys if key.startswith("blocks/")} == {
        f"blocks/{owner.did}/{cid}" for cid in owner.posted
    }
    assert {key for key in keys if key.startswith("quarantine/")} == {
        f"quarantine/{owner.did}/{cid}" for cid in owner.hidden
    }
    assert len(keys) == len(owner.posted) + len(owner.hidden) + len(owner.drafts)


def _sign_up(client: Client, admin: dict[str, str]) -> Owner:
    body = {"handle": "bookkeeper.test", "email": "bookkeeper@example.com", "password": _PASSWORD}
    did = client.call("com.atproto.server.createAccount", body)["did"]
    return Owner(client, admin, did, {})
