"""Servers that the commands of these tests meet: one that runs, and one that was stopped."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from click.testing import CliRunner, Result

from database.opening import open_database
from pds.accounts.hashing import OPERATOR, PasswordHasher
from pds.cli import main
from pds.replication.replica import names
from tests.processes import DevServer, run_pds
from tests.typed import Replica


@dataclass(slots=True, frozen=True)
class Furnished:
    """An account with one record that refers to one blob."""

    did: str
    uri: str
    cid: str
    blob: str


class OperatedServer:
    """A server, and the commands an operator gives to it."""

    furnished: Furnished | None = None
    """Its account that has something, if it has one from the start."""

    def __init__(self, server: DevServer) -> None:
        self.server = server

    @property
    def plc_url(self) -> str:
        """Its PLC directory, while it runs."""
        return f"http://localhost:{self.server.plc_port}"

    def run(self, *args: str) -> str:
        """Run a command with the server's settings to its success; return its output."""
        done = run_pds(*args, "--env-file", str(self.server.env_file))
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refuse(self, *args: str, **environ: str) -> str:
        """Run a command that fails; return its message, which is no traceback."""
        done = run_pds(*args, "--env-file", str(self.server.env_file), env=environ)
        assert done.returncode == 1, (done.stdout, done.stderr)
        assert done.stdout == ""
        assert done.stderr.startswith("Error: ")
        assert "Traceback" not in done.stderr
        return done.stderr

    def furnish(self, name: str) -> Furnished:
        """Make an account under .test whose one record refers to its one blob."""
        words = (f"{name}@example.com", f"{name}.test", "--password", "its-password")
        self.run("account", "create", *words)
        login = {"identifier": f"{name}.test", "password": "its-password"}
        session = self.post("com.atproto.server.createSession", login)
        sent = {"Authorization": f"Bearer {session['accessJwt']}"}
        blob = self.post("com.atproto.repo.uploadBlob", b"a picture", sent)["blob"]
        place = {"repo": session["did"], "collection": "com.example.note", "rkey": "one"}
        made = self.post(
            "com.atproto.repo.createRecord", {**place, "record": {"picture": blob}}, sent
        )
        return Furnished(session["did"], made["uri"], made["cid"], blob["ref"]["$link"])

    def post(
        self, nsid: str, body: dict[str, Any] | bytes, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Call a procedure of the running server."""
        is_blob = isinstance(body, bytes)
        media_type = "application/octet-stream" if is_blob else "application/json"
        request = Request(  # noqa: S310
            f"{self.server.url}/xrpc/{nsid}",
            data=body if isinstance(body, bytes) else json.dumps(body).encode(),
            headers={"Content-Type": media_type, **(headers or {})},
        )
        with urlopen(request, timeout=10) as response:  # noqa: S310
            answer: dict[str, Any] = json.load(response)
        return answer


@dataclass(slots=True)
class Operator:
    """Commands given within this process: about a server that runs, or about files."""

    server: OperatedServer
    environ: dict[str, str]
    """What differs from the server's settings."""
    data: Path

    @property
    def plc_url(self) -> str:
        """The PLC directory of the accounts."""
        return self.environ.get("PDS_DID_PLC_URL", self.server.plc_url)

    def run(self, *args: str) -> str:
        """Give a command that succeeds; return its output."""
        done = self._invoke(args)
        assert done.exit_code == 0, (done.output, done.exception)
        return done.stdout

    def run_json(self, *args: str) -> Any:
        """Give a command that prints one JSON value."""
        return json.loads(self.run(*args, "--json"))

    def run_lines(self, *args: str) -> list[Any]:
        """Give a command that prints a JSON value a line."""
        return [json.loads(line) for line in self.run(*args, "--json").splitlines()]

    def refuse(self, *args: str) -> str:
        """Give a command that fails; return its message, which is no traceback."""
        done = self._invoke(args)
        assert (done.exit_code, done.stdout) == (1, ""), (done.output, done.exception)
        assert done.stderr.startswith("Error: ")
        return done.stderr

    def create(self, name: str) -> dict[str, str]:
        """Make an account under .test: its handle, DID and password."""
        made: dict[str, str] = self.run_json(
            "account", "create", f"{name}@example.com", f"{name}.test"
        )
        return made

    def run_fields(self, *args: str) -> dict[str, str]:
        """Give a command that prints `name: value` lines."""
        pairs = (line.partition(":") for line in self.run(*args).splitlines())
        return {name: value.strip() for name, _, value in pairs}

    def show(self, account: str) -> Any:
        """All that is known of an account."""
        return self.run_json("account", "show", account)

    def events_of(self, did: str) -> list[str]:
        """The types of the events that the log has of a DID."""
        query = "SELECT eventType FROM repo_seq WHERE did = ? ORDER BY seq"
        with closing(open_database(self.data / "sequencer.sqlite", read_only=True)) as db:
            return [kind for (kind,) in db.all(query, (did,))]

    def knows_password(self, did: str, password: str) -> bool:
        """Whether it is the account's."""
        query = "SELECT passwordScrypt FROM account WHERE did = ?"
        with closing(open_database(self.data / "account.sqlite", read_only=True)) as db:
            stored = db.value(query, (did,))
        return asyncio.run(_is_hash_of(password, stored))

    def _invoke(self, args: tuple[str, ...]) -> Result:
        words = [*args, "--env-file", str(self.server.server.env_file)]
        environ = {"COLUMNS": None, **self.environ}
        return CliRunner().invoke(main, words, env=environ, prog_name="pds")


@pytest.fixture(params=["running", "files"])
def operator(request: pytest.FixtureRequest, running: OperatedServer, files: Operator) -> Operator:
    """The operator of a server that runs, then of one that does not."""
    return Operator(running, {}, running.server.data) if request.param == "running" else files


@pytest.fixture(scope="package")
def files(
    running: OperatedServer, stopped: OperatedServer, tmp_path_factory: pytest.TempPathFactory
) -> Operator:
    """The files of a server that does not run, while its PLC directory does."""
    data = tmp_path_factory.mktemp("files") / "data"
    shutil.copytree(stopped.server.data, data)
    environ = {
        "PDS_DATA_DIRECTORY": str(data),
        "PDS_BLOBSTORE_DISK_LOCATION": str(data / "blobs"),
        # Of another server, but a directory like any other.
        "PDS_DID_PLC_URL": running.plc_url,
    }
    return Operator(stopped, environ, data)


@pytest.fixture(scope="package")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatedServer]:
    """A `pds dev` process that runs while the tests do."""
    server = DevServer.start(tmp_path_factory.mktemp("running"))
    yield OperatedServer(server)
    server.stop()


@pytest.fixture(scope="package")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> OperatedServer:
    """The files of a `pds dev` server that has alice as its account and does not run."""
    operated = OperatedServer(DevServer.start(tmp_path_factory.mktemp("stopped")))
    operated.furnished = operated.furnish("alice")
    assert operated.server.stop() == 0
    return operated


@pytest.fixture(scope="package")
def replica(stopped: OperatedServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A replica of a server with alice: databases by Litestream, and the rest in the clear."""
    data = tmp_path_factory.mktemp("replicated") / "data"
    shutil.copytree(stopped.server.data, data)
    place = tmp_path_factory.mktemp("replica") / "pds"
    Replica(data, place).send()
    did = did_of(stopped)
    (key,) = data.glob("actors/*/*/key")
    shutil.copy(key, place / names.actor_key(did))
    (blobs,) = data.glob(f"*/{did}")
    shutil.copytree(blobs, place / names.BLOBS / did)
    return place


def did_of(server: OperatedServer) -> str:
    """The DID of its account that has something."""
    assert server.furnished is not None
    return server.furnished.did


async def _is_hash_of(password: str, stored: str) -> bool:
    hasher = PasswordHasher()
    try:
        async with hasher.turn(OPERATOR, about="the test") as hashing:
            return await hashing.verify(password, stored)
    finally:
        hasher.close()
