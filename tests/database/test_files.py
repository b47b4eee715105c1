"""Files that are not databases: whole, durable, and told apart when there is no room."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from database.files import no_space_as, replacing


class _Full(Exception):
    pass


def test_a_file_and_its_name_are_on_disk_when_it_replaces_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    synced: list[str | bytes] = []

    def fsync(descriptor: int) -> None:
        name = Path(f"/proc/self/fd/{descriptor}").readlink()
        synced.append(tmp_path.name if name == tmp_path else name.read_bytes())
        synced.append(path.read_bytes())

    monkeypatch.setattr(os, "fsync", fsync)
    with replacing(path) as file:
        file.write(b"new")
    assert synced == [b"new", b"old", tmp_path.name, b"new"]


def test_a_new_file_is_its_owners_alone_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch(mode=0o644)
    with replacing(path, mode=0o600) as file:
        file.write(b"new")
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_or_a_quota_without_room_is_told_in_the_words_of_the_caller(number: int) -> None:
    with pytest.raises(_Full, match="no room"), no_space_as(lambda _: _Full("no room")):
        raise OSError(number, os.strerror(number))


def test_other_errors_of_files_stay_what_they_are() -> None:
    with pytest.raises(PermissionError), no_space_as(lambda _: _Full()):
        raise PermissionError(errno.EACCES, "not yours")
