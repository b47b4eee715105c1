"""A hold under load: presigned downloads for a crew, and pulls that are counted."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
import time
import urllib.request
from base64 import b32encode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import orjson

from benchmarks import load
from benchmarks.scenarios import HOLD_CREW
from benchmarks.seed import Repo, call, create_repo, send
from benchmarks.servers import SECRET, Server, hold, holdfast, running
from tests.seaweedfs import SeaweedFs

_CONNECTIONS: Final = 16
_BUCKET: Final = "bench-hold"
_LAYER: Final = b"a layer" * 1000
_DIGEST: Final = f"sha256:{hashlib.sha256(_LAYER).hexdigest()}"
_REPOSITORIES: Final = 50
_WRITES: Final = 200
_CREW_RECORD: Final = "io.atcr.hold.crew"
_GET_BLOB: Final = "com.atproto.sync.getBlob"
_ANY_METHOD: Final = "com.atproto.repo.getRecord"
"""The one for which registries ask tokens, whatever they call."""


@dataclass(slots=True)
class HoldFigures:
    """What the hold has shown."""

    crew: tuple[int, ...] = HOLD_CREW
    get_blob: dict[int, load.Result] = field(default_factory=dict)
    """Presigned downloads, by the size of the crew."""
    pulls: load.Result | None = None
    commits_s: float | None = None
    """Commits a second while pulls were counted."""


def measure_hold(seconds: float, crew: tuple[int, int] = HOLD_CREW) -> HoldFigures:
    """Start S3, and a PDS that is a private hold as well; fill it, load it for `seconds` thrice.

    Raises `RequestFailed`, `ServerFailed` and `LoadFailed`.
    """
    figures = HoldFigures(crew)
    with tempfile.TemporaryDirectory(prefix="bench-s3-") as directory:
        s3 = SeaweedFs.start(Path(directory))
        try:
            asyncio.run(s3.create_bucket(_BUCKET))
            _measure(s3.environ(_BUCKET), figures, seconds)
        finally:
            s3.kill()
    return figures


def _measure(storage: dict[str, str], figures: HoldFigures, seconds: float) -> None:
    with running(holdfast()) as users:
        owner = create_repo(users, "bench-captain", 0)
        launch = hold(owner.did, plc_url=users.plc_url, storage=storage)
        with running(launch) as server:
            captain = Captain.of(users, server, owner)
            captain.push()
            members = 1
            for size in figures.crew:
                captain.add_crew(range(members, size))
                members = size
                figures.get_blob[size] = captain.load([captain.blob_path()], seconds)
            before = captain.count_commits()
            begun = time.monotonic()
            paths = [captain.blob_path(repo=f"image{n}") for n in range(_REPOSITORIES)]
            figures.pulls = captain.load(paths, seconds)
            commits = captain.count_commits() - before
            figures.commits_s = commits / (time.monotonic() - begun)


@dataclass(slots=True, frozen=True)
class Captain:
    """The hold's captain, who is a user of a PDS."""

    users: Server
    server: Server
    """The hold."""
    hold_did: str
    owner: Repo

    @classmethod
    def of(cls, users: Server, server: Server, owner: Repo) -> Captain:
        """The captain of a hold that has just started."""
        return cls(users, server, f"did:web:{server.url.split('//')[1].replace(':', '%3A')}", owner)

    @property
    def token(self) -> str:
        """A service token, good for ten minutes."""
        query = {"aud": self.hold_did, "lxm": _ANY_METHOD, "exp": int(time.time()) + 600}
        nsid = f"com.atproto.server.getServiceAuth?{urlencode(query)}"
        return str(call(self.users, nsid, token=self.owner.token)["token"])

    def push(self) -> None:
        """Upload the layer, straight to S3."""
        token = self.token
        begun = call(self.server, "io.atcr.hold.initiateUpload", {"digest": "temp"}, token)
        upload = {"uploadId": begun["uploadId"]}
        url = call(
            self.server, "io.atcr.hold.getPartUploadUrl", {**upload, "partNumber": 1}, token
        )["url"]
        request = urllib.request.Request(url, data=_LAYER, method="PUT")
        with urllib.request.urlopen(request, timeout=30) as response:
            part = {"partNumber": 1, "etag": response.headers["ETag"]}
        body = {**upload, "digest": _DIGEST, "parts": [part]}
        call(self.server, "io.atcr.hold.completeUpload", body, token)

    def add_crew(self, numbers: Sequence[int]) -> None:
        """Write records of members, 200 a commit."""
        token = self.token
        for start in range(0, len(numbers), _WRITES):
            writes = [_member(number) for number in numbers[start : start + _WRITES]]
            body: dict[str, object] = {"repo": self.hold_did, "writes": writes}
            call(self.server, "com.atproto.repo.applyWrites", body, token)

    def blob_path(self, **more: str) -> str:
        """Where a registry asks for the layer."""
        query = {"did": self.owner.did, "cid": _DIGEST, "method": "GET", **more}
        return f"/xrpc/{_GET_BLOB}?{urlencode(query)}"

    def load(self, paths: Sequence[str], seconds: float) -> load.Result:
        """Ask for the paths in turn, after a warm-up, all with one token as registries do."""
        token = self.token
        get = partial(load.get, self.server, paths, connections=_CONNECTIONS, token=token)
        get(seconds=1.0)
        return get(seconds=seconds)

    def count_commits(self) -> int:
        """The number of events of the hold: its commits, and a few from its start."""
        request = urllib.request.Request(
            f"{self.server.url}/_holdfast/firehose/subscribers",
            headers={"authorization": f"Basic {b64encode(f'admin:{SECRET}'.encode()).decode()}"},
        )
        return int(orjson.loads(send(request))["newestSeq"])


def _member(number: int) -> dict[str, object]:
    return {
        "$type": "com.atproto.repo.applyWrites#create",
        "collection": _CREW_RECORD,
        "value": {
            "$type": _CREW_RECORD,
            "member": f"did:plc:{b32encode(number.to_bytes(15, 'big')).decode().lower()}",
            "role": "member",
            "permissions": ["blob:read", "blob:write"],
            "addedAt": "2026-01-01T00:00:00.000Z",
        },
    }
