"""The reference PDS runs on a directory: Holdfast keeps away from it, and tells how it ended."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pds.config import read_settings
from pds.disk.other_server import find_other_server
from pds.doctor.examination import Options, examine
from pds.doctor.finding import Finding
from tests.conformance.client import Client, bearer
from tests.processes import ServerProcess, free_port, run_pds
from tests.reference import data
from tests.reference.server import Reference

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(300)]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return data.unpack(tmp_path / "data")


@pytest.fixture
def env(directory: Path) -> dict[str, str]:
    return data.environment(directory) | {
        "PDS_DID_PLC_URL": "http://localhost:1",
        # Another one than the reference listens on, as with its own environment file.
        "PDS_PORT": str(free_port()),
    }


@pytest.fixture
def running(reference: Reference, env: dict[str, str], tmp_path: Path) -> Iterator[ServerProcess]:
    server = reference.serve(env, port=free_port(), log_file=tmp_path / "reference.log")
    yield server
    server.kill()


def finding(env: dict[str, str], check: str) -> Finding:
    report = examine(env, Options(offline=True, processes=1))
    (found,) = [each for each in report.findings if each.check == check]
    return found


@contextmanager
def written_to(server: ServerProcess) -> Iterator[None]:
    """Somebody makes one record after the other."""
    client, done = Client(server.url), threading.Event()
    alice = data.manifest()["accounts"]["alice"]
    credentials = {"identifier": alice["did"], "password": alice["password"]}
    session = client.call("com.atproto.server.createSession", credentials)

    def write() -> None:
        body: dict[str, Any] = {"repo": alice["did"], "collection": "com.example.note"}
        while not done.is_set():
            body["record"] = {"text": "busy"}
            client.call("com.atproto.repo.createRecord", body, bearer(session["accessJwt"]))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        done.set()
        writer.join()


def test_holdfast_does_not_start_beside_it(running: ServerProcess, env: dict[str, str]) -> None:
    done = run_pds("serve", env=env)
    assert done.returncode == 1
    assert f"(pid {running.process.pid}) has the databases of" in done.stderr
    problem = finding(env, "server")
    assert problem.status == "error"
    assert f"(pid {running.process.pid})" in problem.message


def test_it_is_noticed_at_work(running: ServerProcess, env: dict[str, str]) -> None:
    with written_to(running):
        found = [find_other_server(read_settings(env)) for _ in range(5)]
    assert [each and each.pid for each in found] == [running.process.pid] * 5


def test_its_end_in_order_is_told_from_a_crash(running: ServerProcess, env: dict[str, str]) -> None:
    with written_to(running):
        pass
    running.stop()
    assert finding(env, "last stop").status == "ok"


def test_its_crash_is_told(running: ServerProcess, env: dict[str, str]) -> None:
    with written_to(running):
        pass
    running.kill()
    assert find_other_server(read_settings(env)) is None
    assert finding(env, "last stop").status == "warning"
