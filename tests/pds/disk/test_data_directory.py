"""The data directory: made, checked, and held by one process at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from pds.config import Settings, read_settings
from pds.disk.data_directory import (
    LOCK_FILE,
    DataDirectoryError,
    DataDirectoryHeld,
    DataDirectoryLock,
    find_holder,
    make_directories,
)
from tests.pds.config.test_settings import WORKING
from tests.pds.conftest import start_pds
from tests.small_disk import filled, small_disk


def settings_in(directory: Path, **changes: str) -> Settings:
    located = {
        "PDS_DATA_DIRECTORY": str(directory),
        "PDS_BLOBSTORE_DISK_LOCATION": str(directory / "blobs"),
    }
    return read_settings(WORKING | located | changes)


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


def test_a_directory_is_had_as_soon_as_the_workers_of_a_dead_server_have_ended(
    tmp_path: Path,
) -> None:
    first = DataDirectoryLock.acquire(tmp_path)
    worker = os.dup(first.fileno())
    first.release()
    (tmp_path / LOCK_FILE).write_text("4194304999\n")
    ending = threading.Timer(0.05, os.close, (worker,))
    ending.start()
    lock = DataDirectoryLock.acquire(tmp_path)
    ending.join()
    assert (tmp_path / LOCK_FILE).read_text() == f"{os.getpid()}\n"
    lock.release()


def test_a_released_directory_can_be_had_again(tmp_path: Path) -> None:
    lock = DataDirectoryLock.acquire(tmp_path)
    lock.release()
    lock.release()
    assert find_holder(tmp_path) is None
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
    with pytest.raises(DataDirectoryError, match=f"No permission .* \\(uid {os.getuid()}\\)"):
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


def modes_below(directory: Path) -> dict[str, str]:
    """The mode of every file and directory, by its path."""
    paths = [directory, *directory.rglob("*")]
    return {str(path.relative_to(directory)): f"{path.stat().st_mode & 0o777:o}" for path in paths}


@pytest.mark.usefixtures("usual_umask")
async def test_nothing_that_the_server_makes_is_for_other_users(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with AsyncExitStack() as stack:
        stack.callback(DataDirectoryLock.acquire(data).release)
        pds = await start_pds(stack, data, {})
        alice = await pds.create_account("alice")
        await pds.upload(alice, b"an upload that nothing refers to")
        blob = (await pds.upload(alice, b"a file", "text/plain")).json["blob"]
        await pds.create_record(alice, "com.example.note", {"file": blob})
        await pds.post("com.atproto.server.reserveSigningKey", {})
        modes = modes_below(data)
    assert {"account.sqlite", "account.sqlite-wal", "account.sqlite-shm", "actors"} <= set(modes)
    assert len(modes) > 20
    assert {path: mode for path, mode in modes.items() if mode not in ("600", "700")} == {}


@pytest.mark.usefixtures("usual_umask")
def test_modes_that_the_operator_has_chosen_stay(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o750)
    (tmp_path / "data" / "account.sqlite").touch(0o640)
    lock = DataDirectoryLock.acquire(tmp_path / "data")
    make_directories(settings_in(tmp_path / "data"))
    lock.release()
    modes = modes_below(tmp_path / "data")
    assert (modes["."], modes["account.sqlite"]) == ("750", "640")


@pytest.mark.usefixtures("usual_umask")
def test_a_released_directory_gives_the_umask_back(tmp_path: Path) -> None:
    DataDirectoryLock.acquire(tmp_path).release()
    with pytest.raises(DataDirectoryError):
        DataDirectoryLock.acquire(Path("/proc/nothing/here"))
    assert os.umask(0o022) == 0o022


def test_the_lock_is_taken_on_a_full_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", size_mb=1) as disk:
        DataDirectoryLock.acquire(disk).release()
        with filled(disk):
            lock = DataDirectoryLock.acquire(disk)
            assert find_holder(disk) == str(os.getpid())
            lock.release()
            assert find_holder(disk) is None
        (disk / LOCK_FILE).unlink()
        with filled(disk):
            # Who holds it cannot be told then.
            lock = DataDirectoryLock.acquire(disk)
            assert find_holder(disk) == "unknown"
            lock.release()
