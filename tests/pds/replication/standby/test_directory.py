"""The directory of a standby, which is neither empty nor a server's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pds.disk.data_directory import DataDirectoryHeld, DataDirectoryLock, DirectoryIsStandby
from pds.replication.errors import ForeignReplica
from pds.replication.restore.target import RestoreTarget, TargetNotEmpty
from pds.replication.standby.directory import (
    NoStandby,
    holding_standby,
    is_standby,
    promoting,
    settle,
)

SOURCE = "file:///replica"
SERVICE = "did:web:pds.example"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "standby"


@pytest.fixture
def target(directory: Path) -> RestoreTarget:
    return RestoreTarget.within(directory)


def make(target: RestoreTarget) -> None:
    with holding_standby(target) as state:
        settle(state, target.directory, source=SOURCE, service_did=SERVICE)


def test_no_server_holds_the_directory_of_a_standby(target: RestoreTarget) -> None:
    make(target)
    with pytest.raises(DirectoryIsStandby, match=f"pds standby promote {target.directory}"):
        DataDirectoryLock.acquire(target.directory)
    make(target)


def test_a_second_standby_is_refused_with_the_pid_of_the_first(target: RestoreTarget) -> None:
    make(target)
    with (
        holding_standby(target),
        pytest.raises(DataDirectoryHeld, match=rf"pid {os.getpid()}\)"),
        holding_standby(target),
    ):
        pass


def test_the_directory_of_a_server_is_refused_untouched(target: RestoreTarget) -> None:
    target.directory.mkdir()
    (target.directory / "account.sqlite").touch()
    with pytest.raises(TargetNotEmpty), holding_standby(target):
        pass
    assert [path.name for path in target.directory.iterdir()] == ["account.sqlite"]
    with pytest.raises(NoStandby), promoting(target.directory):
        pass


def test_a_standby_that_never_had_a_replica_leaves_nothing(target: RestoreTarget) -> None:
    with pytest.raises(RuntimeError), holding_standby(target):
        raise RuntimeError
    assert not target.directory.exists()


def test_a_standby_keeps_to_its_replica_and_its_server(target: RestoreTarget) -> None:
    make(target)
    with holding_standby(target) as state:
        with pytest.raises(NoStandby, match="file:///other"):
            settle(state, target.directory, source="file:///other", service_did=SERVICE)
        with pytest.raises(ForeignReplica, match="did:web:other"):
            settle(state, target.directory, source=SOURCE, service_did="did:web:other")


def test_after_a_promotion_the_directory_is_an_ordinary_one(target: RestoreTarget) -> None:
    make(target)
    with pytest.raises(RuntimeError), promoting(target.directory):
        raise RuntimeError
    assert is_standby(target.directory)
    with promoting(target.directory):
        pass
    assert not is_standby(target.directory)
    DataDirectoryLock.acquire(target.directory).release()
