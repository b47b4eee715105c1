"""One supervisor for each data directory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pds.replication.errors import ReplicaInUse, ReplicationError
from pds.replication.supervising.supervisor_lock import locked


def test_a_second_holder_is_told_the_pid_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "replication.lock"
    with locked(path), pytest.raises(ReplicaInUse, match=f"pid {os.getpid()}"), locked(path):
        pass
    with locked(path):
        assert path.read_text() == f"{os.getpid()}\n"


@pytest.mark.usefixtures("usual_umask")
def test_files_of_a_holder_are_private(tmp_path: Path) -> None:
    with locked(tmp_path / "replication.lock"):
        (tmp_path / "ledger").write_bytes(b"")
    (tmp_path / "after").write_bytes(b"")
    assert (tmp_path / "ledger").stat().st_mode & 0o077 == 0
    assert (tmp_path / "after").stat().st_mode & 0o044


def test_a_directory_that_is_missing_is_named(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "replication.lock"
    with pytest.raises(ReplicationError, match="PDS_DATA_DIRECTORY"), locked(path):
        pass
