"""The data directory: made, checked, and held by one process at a time."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from pds.config import Settings
from pds.data_directory import (
    LOCK_FILE,
    DataDirectoryError,
    DataDirectoryHeld,
    DataDirectoryLock,
    make_directories,
)
from tests.pds.test_config import WORKING


def settings_in(directory: Path, **changes: str) -> Settings:
    located = {
        "PDS_DATA_DIRECTORY": str(directory),
        "PDS_BLOBSTORE_DISK_LOCATION": str(directory / "blobs"),
    }
    return Settings.from_env(WORKING | located | changes)


def test_the_directory_is_made_and_names_its_holder(tmp_path: Path) -> None:
    directory = tmp_path / "new" / "data"
    lock = DataDirectoryLock.acquire(directory)
    assert (directory / LOCK_FILE).read_text() == f"{os.getpid()}\n"
    lock.release()


def test_a_second_holder_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    lock = DataDirectoryLock.acquire(tmp_path)
    with pytest.raises(DataDirectoryHeld, match=rf"pid {os.getpid()}\) holds .*{tmp_path}"):
        DataDirectoryLock.acquire(tmp_path)
    lock.release()


def test_a_released_directory_can_be_had_again(tmp_path: Path) -> None:
    lock = DataDirectoryLock.acquire(tmp_path)
    lock.release()
    lock.release()
    DataDirectoryLock.acquire(tmp_path).release()


def test_a_lock_file_that_a_dead_process_left_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).write_text("4194304999 and more than the next pid has\n")
    lock = DataDirectoryLock.acquire(tmp_path)
    assert (tmp_path / LOCK_FILE).read_text() == f"{os.getpid()}\n"
    lock.release()


@pytest.mark.parametrize("below", ["", "sub", "sub/sub"])
def test_a_file_in_its_place_is_named(tmp_path: Path, below: str) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(DataDirectoryError, match=r"data directory .* is not a directory"):
        DataDirectoryLock.acquire(file / below)


def test_a_directory_as_lock_file_is_named(tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).mkdir()
    with pytest.raises(DataDirectoryError, match=f"Cannot write .*{LOCK_FILE}: Is a directory"):
        DataDirectoryLock.acquire(tmp_path)


def test_a_filesystem_without_locks_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(DataDirectoryError, match="network filesystem"):
        DataDirectoryLock.acquire(tmp_path)


def test_a_directory_closed_to_us_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root is let in everywhere, so the system's answer is replaced.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(DataDirectoryError, match=rf"No permission .*uid {os.getuid()}\)"):
        DataDirectoryLock.acquire(tmp_path)


def test_every_directory_of_the_settings_is_made(tmp_path: Path) -> None:
    make_directories(settings_in(tmp_path, PDS_BLOBSTORE_DISK_TMP_LOCATION=str(tmp_path / "t/t")))
    assert {path.name for path in tmp_path.iterdir()} == {"actors", "blobs", "t"}


def test_blobs_elsewhere_need_no_directory(tmp_path: Path) -> None:
    make_directories(
        settings_in(tmp_path, PDS_BLOBSTORE_DISK_LOCATION="", PDS_BLOBSTORE_S3_BUCKET="blobs")
    )
    assert [path.name for path in tmp_path.iterdir()] == ["actors"]


@pytest.mark.parametrize(
    ("variable", "kind"),
    [
        ("PDS_ACTOR_STORE_DIRECTORY", "actor store"),
        ("PDS_BLOBSTORE_DISK_LOCATION", "blob"),
        ("PDS_BLOBSTORE_DISK_TMP_LOCATION", "upload"),
    ],
)
def test_a_directory_that_cannot_be_made_is_named_with_its_setting(
    tmp_path: Path, variable: str, kind: str
) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(DataDirectoryError, match=f"The {kind} directory {file}.*Set {variable}"):
        make_directories(settings_in(tmp_path, **{variable: str(file)}))
