"""Open files, disk space and file systems."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from database.open_files import MIN_LIMIT
from pds.doctor import machine
from pds.doctor.machine import check_engine, check_file_limit, check_filesystems, check_space

_MIB = 1024 * 1024


def usage(
    free_bytes: int, *, files: int = 1_000_000, free_files: int = 1_000_000
) -> os.statvfs_result:
    block = 4096
    blocks = free_bytes // block
    return os.statvfs_result(
        (block, block, blocks * 2, blocks, blocks, files, free_files, free_files, 0, 255)
    )


@pytest.mark.parametrize(
    ("free_mib", "status"), [(50_000, "ok"), (1_000, "warning"), (100, "error"), (0, "error")]
)
def test_scarce_space_is_a_warning_and_too_little_an_error(
    tmp_path: Path, free_mib: int, status: str
) -> None:
    (finding,) = check_space({"PDS_DATA_DIRECTORY": tmp_path}, lambda _: usage(free_mib * _MIB))
    assert finding.status == status
    assert finding.subject == str(tmp_path)
    assert ("PDS_DATA_DIRECTORY" in finding.remedy) is (status != "ok")


@pytest.mark.parametrize(
    ("version", "status"),
    [
        ("3.54.1", "ok"),
        ("3.51.3", "ok"),
        ("4.0.0", "ok"),
        ("3.51.2", "warning"),
        ("3.9.10", "warning"),
    ],
)
def test_an_sqlite_that_can_corrupt_what_litestream_reads_is_a_warning(
    version: str, status: str
) -> None:
    finding = check_engine(version)
    assert (finding.subject, finding.status) == (version, status)
    assert ("apsw>=3.51.3" in finding.remedy) is (status == "warning")


def test_a_disk_without_room_for_more_files_is_a_warning(tmp_path: Path) -> None:
    full = usage(50_000 * _MIB, free_files=20)
    (finding,) = check_space({"PDS_DATA_DIRECTORY": tmp_path}, lambda _: full)
    assert finding.status == "warning"
    assert "20 more files" in finding.message


def test_a_file_system_without_inodes_to_count_is_fine(tmp_path: Path) -> None:
    endless = usage(50_000 * _MIB, files=0, free_files=0)
    (finding,) = check_space({"PDS_DATA_DIRECTORY": tmp_path}, lambda _: endless)
    assert finding.status == "ok"


def test_each_disk_is_told_once(tmp_path: Path) -> None:
    directories = {"PDS_DATA_DIRECTORY": tmp_path, "PDS_BLOBSTORE_DISK_LOCATION": tmp_path / "new"}
    assert len(list(check_space(directories))) == 1


def test_a_network_file_system_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "find_network_type", lambda _: "nfs4")
    (finding,) = check_filesystems({"PDS_ACCOUNT_DB_LOCATION": tmp_path})
    assert (finding.status, finding.subject) == ("error", str(tmp_path))
    assert "nfs4" in finding.message
    assert "PDS_ACCOUNT_DB_LOCATION" in finding.remedy


@pytest.mark.parametrize(
    ("actors", "wanted", "allowed", "status"),
    [(100, 30_000, 30_000, "ok"), (5_000, 30_000, 256, "warning"), (5_000, 200, 200, "ok")],
)
def test_the_limit_of_open_files_has_to_fit_the_stores_in_use(
    actors: int, wanted: int, allowed: int, status: str
) -> None:
    finding = check_file_limit(actors, wanted=wanted, allowed=allowed)
    assert finding.status == status
    if status == "warning":
        assert "21024" in finding.remedy


def test_a_limit_of_open_files_with_which_the_server_does_not_start_is_an_error() -> None:
    finding = check_file_limit(10, wanted=100, allowed=4, limit=MIN_LIMIT - 1)
    assert finding.status == "error"
    assert "LimitNOFILE" in finding.remedy
