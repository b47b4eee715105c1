"""A server that is only a hold, set up with the variables of the original, in real processes."""

from __future__ import annotations

import json
import stat
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from pds.config.env_file import SECRETS, read_env_file
from pds.hold.records import CAPTAIN, CREW
from repo.keys import K256PrivateKey
from repo.syntax import Did
from tests.pds.api.imports import Repo
from tests.pds.hold.conftest import CAPTAIN_ELSEWHERE, OWNER
from tests.processes import ServerProcess, free_port, run_pds, serve

HOST = "hold.example.com"
DID = f"did:web:{HOST}"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {
        "HOLD_PUBLIC_URL": f"https://{HOST}",
        "HOLD_OWNER": OWNER,
        "HOLD_DATABASE_DIR": str(tmp_path / "data"),
        "STORAGE_DRIVER": "filesystem",
        "STORAGE_ROOT_DIR": str(tmp_path / "blobs"),
    }


@contextmanager
def running(environ: dict[str, str], tmp_path: Path) -> Iterator[ServerProcess]:
    log_file = tmp_path / "serve.log"
    server = serve(environ, port=free_port(), log_file=log_file, cwd=tmp_path)
    try:
        yield server
        assert server.stop() == 0, server.log()
    finally:
        server.kill()
    assert "Traceback" not in server.log()


def get(server: ServerProcess, path: str) -> Any:
    with urllib.request.urlopen(server.url + path, timeout=10) as response:  # noqa: S310
        return json.load(response)


def record(server: ServerProcess, collection: str, rkey: str) -> Any:
    query = f"repo={DID}&collection={collection}&rkey={rkey}"
    return get(server, f"/xrpc/com.atproto.repo.getRecord?{query}")["value"]


def test_the_first_start_makes_secrets_that_commands_and_later_starts_use(
    environ: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "data" / "hold.env"
    with running(environ, tmp_path) as server:
        assert get(server, "/.well-known/did.json")["id"] == DID
        first = read_env_file(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert first.keys() == {*SECRETS, "PDS_HOLD_ONLY"}
        # The running server lets a command in that knows the password.
        done = run_pds(
            "account", "takedown", DID, env={**environ, "PDS_PORT": server.url.rpartition(":")[2]}
        )
        assert done.returncode == 0, done.stderr
        signup = urllib.request.Request(  # noqa: S310
            f"{server.url}/xrpc/com.atproto.server.createAccount",
            json.dumps({"handle": f"alice.{HOST}", "email": "a@example.com"}).encode(),
            {"Content-Type": "application/json"},
        )
        with pytest.raises(HTTPError) as refused:
            urllib.request.urlopen(signup, timeout=10)  # noqa: S310
        assert "only a hold" in json.load(refused.value)["message"]
    done = run_pds("account", "untakedown", DID, env=environ)
    assert done.returncode == 0, done.stderr
    done = run_pds("account", "deactivate", DID, env=environ)
    assert (done.returncode, "PDS_HOLD_ENABLED=false" in done.stderr) == (1, True)
    with running(environ, tmp_path) as server:
        assert read_env_file(path) == first
        assert record(server, CAPTAIN, "self")["owner"] == OWNER
    assert "settings of the original hold are taken over" in server.log()
    assert first["PDS_ADMIN_PASSWORD"] not in server.log()


def test_doctor_finds_nothing_wrong_before_and_after_the_first_start(
    environ: dict[str, str], tmp_path: Path
) -> None:
    for _ in range(2):
        done = run_pds("doctor", "--offline", "--json", env={**environ, "PDS_PORT": "0"})
        assert done.returncode == 0, done.stdout
        with running(environ, tmp_path):
            pass


def test_a_start_without_an_owner_says_what_to_set(environ: dict[str, str], tmp_path: Path) -> None:
    done = run_pds("serve", env={**environ, "HOLD_OWNER": "", "PDS_PORT": str(free_port())})
    assert done.returncode == 1
    assert "PDS_HOLD_OWNER is missing" in done.stderr
    with running(environ, tmp_path) as server:
        assert record(server, CAPTAIN, "self")["owner"] == OWNER


def test_the_repository_of_the_original_is_imported_before_the_first_start(
    environ: dict[str, str], tmp_path: Path
) -> None:
    member = {"$type": CREW, "member": OWNER, "role": "owner", "permissions": ["crew:admin"]}
    records = {f"{CAPTAIN}/self": CAPTAIN_ELSEWHERE, f"{CREW}/3aaaaaaaaaa2a": member}
    car = tmp_path / "hold.car"
    car.write_bytes(Repo.of(Did(DID), K256PrivateKey.generate(), records).car())

    done = run_pds("car", "import", str(car), "--ignore-signature", "--json", env=environ)
    assert done.returncode == 0, done.stderr
    with running(environ, tmp_path) as server:
        assert record(server, CAPTAIN, "self") == CAPTAIN_ELSEWHERE
        assert record(server, CREW, "3aaaaaaaaaa2a") == member
        repos = get(server, "/xrpc/com.atproto.sync.listRepos")["repos"]
        assert [(each["did"], each["active"]) for each in repos] == [(DID, True)]
