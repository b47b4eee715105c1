"""The status file: written whole, read back the same, and who wrote it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pds.replication.standby import status as standby_status
from pds.replication.standby.status import StandbyStatus
from pds.replication.status import (
    ActorsStatus,
    DaemonStatus,
    DatabaseStatus,
    LagStatus,
    ReplicationStatus,
    Totals,
    read_status,
    write_status,
)
from pds.replication.status_file import MAX_BYTES
from pds.replication.syncing.lag import Lag


def status() -> ReplicationStatus:
    return ReplicationStatus(
        pid=os.getpid(),
        state="running",
        started_s=time.time() - 5,
        written_s=time.time(),
        replica="s3://bucket/prefix",
        service_did="did:web:pds.example",
        server_id="0123",
        databases=(DatabaseStatus(name="account.sqlite", txid=5, lag_s=0.5, last_synced_s=1.0),),
        daemons=(DaemonStatus(name="actors", pid=7, restarts=1, last_error="no"),),
        actors=ActorsStatus(known=5, dirty=2),
        lag=LagStatus(changes=3, p50_s=0.1, p99_s=0.2, max_s=0.3),
        totals=Totals(syncs=9),
        failing=(("did:plc:a", "no such luck"),),
        warnings=("blobs stay",),
    )


def test_what_was_written_is_read(tmp_path: Path) -> None:
    written = status()
    write_status(tmp_path / "replication.json", written)
    assert read_status(tmp_path / "replication.json") == written
    assert [path.name for path in tmp_path.iterdir()] == ["replication.json"]


def test_a_directory_that_cannot_be_written_to_is_no_error(tmp_path: Path) -> None:
    write_status(tmp_path / "missing" / "replication.json", status())
    assert read_status(tmp_path / "missing" / "replication.json") is None


def test_names_of_files_in_errors_may_be_any_bytes(tmp_path: Path) -> None:
    path = tmp_path / "replication.json"
    write_status(path, replace(status(), last_error="cannot read b\udcffd"))
    found = read_status(path)
    assert found is not None
    assert found.last_error == "cannot read b?d"


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"pid": 5}', '{"actors": {}}', "x" * (MAX_BYTES + 5), "\udcff"],
)
def test_anything_else_is_no_status(tmp_path: Path, text: str) -> None:
    path = tmp_path / "replication.json"
    path.write_text(text, errors="surrogateescape")
    assert read_status(path) is None


@pytest.mark.parametrize(
    "other",
    [{"more": 5}, {"pid": "7"}, {"state": "asleep"}, {"actors": {"more": 5}}, {"failing": [1]}],
)
def test_that_of_another_version_is_no_status(tmp_path: Path, other: dict[str, object]) -> None:
    path = tmp_path / "replication.json"
    path.write_text(json.dumps({**status().to_json(), **other}))
    assert read_status(path) is None


def test_a_supervisor_lives_while_it_writes() -> None:
    assert status().is_alive
    assert not replace(status(), written_s=time.time() - 60).is_alive
    assert not replace(status(), state="stopped").is_alive
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert not replace(status(), pid=ended.pid).is_alive


def test_lag_is_that_of_the_last_minute() -> None:
    now = [0.0]
    lag = Lag(clock=lambda: now[0])
    assert lag.status() == LagStatus()
    for number in range(100):
        lag.add(number / 10)
    assert lag.status() == LagStatus(changes=100, p50_s=5.0, p99_s=9.9, max_s=9.9)
    now[0] = 61.0
    lag.add(1.0)
    assert lag.status() == LagStatus(changes=1, p50_s=1.0, p99_s=1.0, max_s=1.0)


def test_that_of_a_standby_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "standby.json"
    written = StandbyStatus(
        pid=os.getpid(),
        state="following",
        started_s=time.time() - 5,
        written_s=time.time(),
        source="s3://bucket/prefix",
        service_did="did:web:pds.example",
        caught_up_s=5,
        problems=(("did:plc:a", "no such luck"),),
    )
    standby_status.write_status(path, written)
    assert standby_status.read_status(path) == written
    write_status(path, status())
    assert standby_status.read_status(path) is None
