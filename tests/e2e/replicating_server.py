"""A real server whose data may be lost, because it is replicated."""

from __future__ import annotations

import json
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pds.replication.status import ReplicationStatus, read_status
from tests.e2e.replicated import PASSPHRASE, AllIsCopied
from tests.processes import ServerProcess, free_port, run_pds, serve

_DEADLINE_S = 100.0


@dataclass
class ReplicatingServer:
    """A server with its own data directory, replicated to `url`, in the PLC network of another."""

    directory: Path
    plc_url: str
    url: str
    more: dict[str, str] = field(default_factory=dict)
    server: ServerProcess | None = None
    port: int = field(default_factory=free_port)

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def environ(self) -> dict[str, str]:
        return {
            "PDS_DEV_MODE": "true",
            "PDS_HOSTNAME": "localhost",
            "PDS_PORT": str(self.port),
            "PDS_DATA_DIRECTORY": str(self.data),
            "PDS_BLOBSTORE_DISK_LOCATION": str(self.data / "blocks"),
            "PDS_JWT_SECRET": "9d1c36f2a80b47e5",
            "PDS_ADMIN_PASSWORD": "c8b5e2f19a6d7043",
            "PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX": "11" * 32,
            "PDS_DID_PLC_URL": self.plc_url,
            "PDS_INVITE_REQUIRED": "false",
            "PDS_REPLICATION_KEY_PASSPHRASE": PASSPHRASE,
            "PDS_REPLICATION_SWEEP_INTERVAL": "1000",
            **self.more,
        }

    def start(self, *, replicates: bool = True) -> None:
        """Start the server, with its replication or without."""
        self.directory.mkdir(exist_ok=True)
        log = self.directory / "server.log"
        options = ("--replicate", self.url) if replicates else ()
        self.server = serve(self.environ, *options, port=self.port, log_file=log)

    def log(self) -> str:
        return (self.directory / "server.log").read_text()

    def run(self, *args: str) -> Any:
        """Run a command that prints JSON, with the settings of the server."""
        done = run_pds(*args, "--json", env={**self.environ, "PDS_REPLICATION_URL": self.url})
        assert done.returncode == 0, (done.stdout, done.stderr)
        return json.loads(done.stdout)

    def status(self) -> ReplicationStatus | None:
        """What the supervisor says now; None before it has said anything."""
        return read_status(self.data / "replication.json")

    def until_sent(self) -> ReplicationStatus:
        """Wait until the replica has everything that was written before."""
        is_sent, status = AllIsCopied(self.status()), self.status()
        deadline = time.monotonic() + _DEADLINE_S
        while status is None or not is_sent(status):
            assert time.monotonic() < deadline, self.log()[-5_000:]
            time.sleep(0.05)
            status = self.status()
        return status

    def stop(self) -> None:
        """Stop the server in order."""
        assert self.server is not None
        assert self.server.stop() == 0, self.log()

    def end(self) -> None:
        if self.server is not None:
            self.server.kill()
            # The child notices by itself, and would write to a directory that goes.
            status = self.status()
            wait_until(lambda: status is None or not is_running(status.pid), self.log)

    def call(self, nsid: str, body: Any = None, token: str = "", **query: str) -> Any:
        """Call a method, and return the JSON or the bytes of its answer."""
        url = f"http://localhost:{self.port}/xrpc/{nsid}"
        if query:
            url += "?" + urllib.parse.urlencode(query)
        is_bytes = isinstance(body, bytes)
        data = body if is_bytes or body is None else json.dumps(body).encode()
        headers = {"Content-Type": "image/png" if is_bytes else "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        request = urllib.request.Request(url, data=data, headers=headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=20) as response:  # noqa: S310
            answer = response.read()
            is_json = response.headers.get_content_type() == "application/json"
        return json.loads(answer) if is_json else answer

    def sign_up(self, name: str) -> Any:
        account = {"handle": f"{name}.test", "email": f"{name}@example.com", "password": "p-of-us"}
        return self.call("com.atproto.server.createAccount", account)

    def post(self, session: Any, rkey: str, **fields: Any) -> Any:
        record = {"$type": "com.example.note", "text": rkey, **fields}
        place = {"repo": session["did"], "collection": "com.example.note", "rkey": rkey}
        nsid = "com.atproto.repo.createRecord"
        return self.call(nsid, {**place, "record": record}, session["accessJwt"])

    def notes(self, did: str) -> set[str]:
        query = {"repo": did, "collection": "com.example.note"}
        listed = self.call("com.atproto.repo.listRecords", **query)
        return {record["uri"].rpartition("/")[2] for record in listed["records"]}


def wait_until(holds: Callable[[], bool], told: Callable[[], str]) -> None:
    deadline = time.monotonic() + _DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, told()[-5_000:]
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    try:
        # A process that has ended but was not waited for does not count.
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
