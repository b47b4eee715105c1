"""`pds standby`, before it has reached the replica."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from pds.cli import main
from pds.disk.data_directory import STANDBY_FILE
from pds.replication.replica.url import ReplicaUrl
from pds.replication.standby.directory import STATUS_FILE, settle
from pds.replication.standby.state import StandbyState
from pds.replication.standby.status import StandbyStatus, read_status
from tests.processes import clean_environment

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
WITHIN_S = 30.0


@pytest.fixture
def silent_url() -> Iterator[str]:
    """A bucket whose server takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"s3://backups/pds?endpoint=http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def standby(silent_url: str, tmp_path: Path) -> Path:
    """The standby of an earlier run."""
    (directory := tmp_path / "standby").mkdir()
    with closing(StandbyState.open(directory / STANDBY_FILE)) as state:
        source = str(ReplicaUrl.parse(silent_url))
        settle(state, directory, source=source, service_did="did:web:localhost")
    return directory


def status_after(written_s: float, standby: Path) -> StandbyStatus:
    """The first status that is written after a time."""
    deadline = time.monotonic() + WITHIN_S
    while (found := read_status(standby / STATUS_FILE)) is None or found.written_s <= written_s:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def test_a_standby_says_that_it_runs_while_its_replica_does_not_answer(
    silent_url: str, standby: Path
) -> None:
    command = [sys.executable, "-m", "pds", "standby", "--from", silent_url, "--to", str(standby)]
    process = subprocess.Popen(command, env=clean_environment(CREDENTIALS))  # noqa: S603 (ours)
    try:
        first = status_after(0.0, standby)
        second = status_after(first.written_s, standby)
    finally:
        process.kill()
        process.wait(WITHIN_S)
    assert (second.pid, second.state) == (process.pid, "starting")
    assert second.source.startswith("s3://backups/pds")


def test_an_option_before_a_command_is_refused() -> None:
    done = CliRunner().invoke(main, ["standby", "--to", "x", "status", "x"], prog_name="pds")
    assert (done.exit_code, "--to is an option of `pds standby`" in done.output) == (2, True)
