"""`pds serve --replicate` in real processes: everything is lost, and comes back."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.processes import DevServer, ServerProcess, clean_environment, free_port, run_pds, serve
from tests.seaweedfs import SeaweedFs

PASSPHRASE = "e71f0c9b52d84a36"
_DEADLINE_S = 60.0


@dataclass
class Replicated:
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

    def status(self) -> dict[str, Any]:
        """What the supervisor says now; nothing before it has said anything."""
        try:
            told: dict[str, Any] = json.loads((self.data / "replication.json").read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return {}
        return told

    def until_sent(self) -> dict[str, Any]:
        """Wait until the replica has everything that was written before."""
        since = time.time()

        def is_sent() -> bool:
            status = self.status()
            return (
                status.get("state") == "running"
                and status["actors"]["last_sweep_s"] is not None
                # A whole sweep has begun and ended since.
                and status["actors"]["last_sweep_s"] > since + 1.5
                and status["actors"]["known"] > 0
                and not status["actors"]["dirty"]
                and all(one["lag_s"] == 0 for one in status["databases"])
            )

        wait_until(is_sent, self.log)
        return self.status()

    def kill_everything(self) -> None:
        """End all processes of the server at once, as a power failure does."""
        status = self.status()
        assert self.server is not None
        pids = [status["pid"], *(one["pid"] for one in status["daemons"] if one["pid"])]
        self.server.kill()
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not any(map(is_running, pids)), self.log)

    def stop(self) -> None:
        """Stop the server in order."""
        assert self.server is not None
        assert self.server.stop() == 0, self.log()

    def end(self) -> None:
        if self.server is not None:
            self.server.kill()
            # The child notices by itself, and would write to a directory that goes.
            pid = self.status().get("pid")
            wait_until(lambda: pid is None or not is_running(pid), self.log)

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

    def log_in(self, name: str) -> Any:
        login = {"identifier": f"{name}.test", "password": "p-of-us"}
        return self.call("com.atproto.server.createSession", login)

    def post(self, session: Any, rkey: str, **fields: Any) -> Any:
        record = {"$type": "com.example.note", "text": rkey, **fields}
        place = {"repo": session["did"], "collection": "com.example.note", "rkey": rkey}
        nsid = "com.atproto.repo.createRecord"
        return self.call(nsid, {**place, "record": record}, session["accessJwt"])

    def notes(self, did: str) -> set[str]:
        query = {"repo": did, "collection": "com.example.note"}
        listed = self.call("com.atproto.repo.listRecords", **query)
        return {record["uri"].rpartition("/")[2] for record in listed["records"]}

    def newest_seq(self) -> int:
        with closing(sqlite3.connect(self.data / "sequencer.sqlite")) as db:
            (seq,) = db.execute("SELECT max(seq) FROM repo_seq").fetchone()
        return int(seq)


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


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    """A server whose PLC directory the others use."""
    server = DevServer.start(tmp_path_factory.mktemp("network"))
    yield server
    server.stop()


@pytest.fixture(params=["file", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """The URL of a place for a replica, and the credentials for it."""
    if request.param == "file":
        (tmp_path / "replica").mkdir()
        yield f"file://{tmp_path / 'replica'}", {}
        return
    seaweed: SeaweedFs = request.getfixturevalue("seaweedfs")
    bucket = asyncio.run(seaweed.create_bucket()).bucket
    credentials = {
        "LITESTREAM_ACCESS_KEY_ID": seaweed.access_key_id,
        "LITESTREAM_SECRET_ACCESS_KEY": seaweed.secret_access_key,
    }
    yield f"s3://{bucket}/pds?endpoint={seaweed.url}", credentials


@pytest.fixture
def pds(network: DevServer, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Replicated]:
    """A server that is replicated, to a directory if the test does not ask for `place`."""
    if "place" in request.fixturenames:
        url, credentials = request.getfixturevalue("place")
    else:
        (tmp_path / "replica").mkdir()
        url, credentials = f"file://{tmp_path / 'replica'}", {}
    pds = Replicated(tmp_path / "pds", f"http://localhost:{network.plc_port}", url, credentials)
    pds.start()
    yield pds
    pds.end()


@pytest.mark.usefixtures("place")
def test_a_server_that_is_lost_comes_back_with_everything(pds: Replicated) -> None:
    session = pds.sign_up("alice")
    did = session["did"]
    blob = pds.call("com.atproto.repo.uploadBlob", b"\x89PNG a picture", session["accessJwt"])
    pds.post(session, "first", picture=blob["blob"])
    pds.post(session, "second")
    bob = pds.sign_up("bob")
    pds.post(bob, "from-bob")
    pds.until_sent()
    seq = pds.newest_seq()
    pds.kill_everything()
    shutil.rmtree(pds.data)

    report = pds.run("restore", "--from", pds.url, "--to", str(pds.data))
    assert report["complete"], report
    assert report["totals"]["databases"] == report["totals"]["keys"] == 2
    pds.start()
    assert pds.notes(did) == {"first", "second"}
    assert pds.notes(bob["did"]) == {"from-bob"}
    cid = blob["blob"]["ref"]["$link"]
    assert pds.call("com.atproto.sync.getBlob", did=did, cid=cid) == b"\x89PNG a picture"
    # The signing key and the rotation key work, and consumers go on.
    again = pds.log_in("alice")
    pds.post(again, "third")
    pds.call(
        "com.atproto.identity.updateHandle", {"handle": "alice-again.test"}, again["accessJwt"]
    )
    assert pds.notes(did) == {"first", "second", "third"}
    assert pds.newest_seq() > seq
    # The replica goes on with the restored server.
    pds.until_sent()
    assert pds.run("replicate", "verify", "--all")["sound"]


def test_an_orderly_stop_sends_the_last_writes(pds: Replicated, tmp_path: Path) -> None:
    session = pds.sign_up("alice")
    pds.until_sent()
    for number in range(20):
        pds.post(session, f"note-{number}")
    pds.stop()
    status = pds.status()
    assert (status["state"], status["actors"]["dirty"]) == ("stopped", 0)
    assert not is_running(status["pid"])
    pds.run("restore", "--from", pds.url, "--to", str(tmp_path / "copy"), "--no-recovery")
    (store,) = (tmp_path / "copy").glob("actors/*/*/store.sqlite")
    with closing(sqlite3.connect(store)) as db:
        assert db.execute("SELECT count(*) FROM record").fetchone() == (20,)
    done = run_pds("doctor", "--offline", "--json", env=pds.environ | {"PDS_PORT": "0"})
    assert done.returncode == 0, done.stdout


def test_a_replicator_that_dies_is_started_again_and_one_without_its_server_ends(
    pds: Replicated,
) -> None:
    session = pds.sign_up("alice")
    first = pds.until_sent()["pid"]
    os.kill(first, signal.SIGKILL)
    pds.post(session, "meanwhile")
    second = pds.until_sent()["pid"]
    assert second != first
    assert "replication has ended and is started again" in pds.log()
    assert pds.server is not None
    pds.server.kill()
    wait_until(lambda: not is_running(second), pds.log)
    # The next one takes the replica over at once, on the same directory.
    pds.start()
    pds.post(session, "later")
    assert pds.until_sent()["pid"] not in (first, second)


def test_a_server_serves_although_it_cannot_be_replicated(pds: Replicated) -> None:
    session = pds.sign_up("alice")
    pds.until_sent()
    pds.stop()
    pds.more["PDS_REPLICATION_KEY_PASSPHRASE"] = "of another server"
    pds.more["PDS_METRICS_PORT"] = str(free_port())
    pds.start()
    pds.post(session, "although")
    wait_until(lambda: "nothing is replicated" in pds.log(), pds.log)
    assert pds.notes(session["did"]) == {"although"}
    assert pds.server is not None
    with urllib.request.urlopen(f"{pds.server.url}/xrpc/_health") as response:  # noqa: S310
        assert response.status == 200
    done = run_pds("replicate", "status", env=pds.environ)
    assert (done.returncode, "is not the passphrase of this replica" in done.stdout) == (1, True)
    metrics = f"http://127.0.0.1:{pds.more['PDS_METRICS_PORT']}/metrics"
    with urllib.request.urlopen(metrics) as response:
        assert b"\nholdfast_replication_up 0.0\n" in response.read()
    # The right one again: what was written meanwhile is sent.
    pds.stop()
    del pds.more["PDS_REPLICATION_KEY_PASSPHRASE"]
    pds.start()
    pds.until_sent()
    assert pds.run("replicate", "verify", "--all")["sound"]


def test_server_and_replication_start_and_stop_in_any_order(pds: Replicated) -> None:
    session = pds.sign_up("alice")
    pds.stop()
    pds.more["PDS_REPLICATION_WITH_SERVER"] = "false"
    alone = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "pds", "replicate", "--to", pds.url],
        env=clean_environment({**pds.environ, "LOG_DESTINATION": str(pds.directory / "log")}),
    )
    try:
        pds.until_sent()
        # It has the databases open, and is no other server.
        pds.more["PDS_REPLICATION_URL"] = pds.url
        pds.start(replicates=False)
        pds.post(session, "one")
        assert pds.until_sent()["pid"] == alone.pid
        done = run_pds("doctor", "--offline", "--json", env=pds.environ)
        findings = {one["check"]: one for one in json.loads(done.stdout)["findings"]}
        assert findings["server"]["status"] == "ok", findings["server"]
        assert findings["replication"]["status"] == "ok", findings["replication"]
        refused = run_pds("replicate", "--to", pds.url, env=pds.environ)
        assert refused.returncode == 1
        assert f"is being replicated already (pid {alone.pid})" in refused.stderr
        pds.stop()
        assert alone.poll() is None
    finally:
        alone.send_signal(signal.SIGTERM)
        assert alone.wait(60) == 0
    assert pds.status()["state"] == "stopped"
