"""The directory of a control socket: nobody else gets in, and none is left behind."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pds.replication.litestream.private_directory import PrivateDirectory


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory for temporary files, with a name that is short enough for a socket's."""
    with tempfile.TemporaryDirectory(prefix="hf-") as place:
        monkeypatch.setattr(tempfile, "tempdir", place)
        yield Path(place)


def age(path: Path) -> None:
    """Make a directory look old."""
    os.utime(path, (1_000_000_000, 1_000_000_000))


def test_one_that_was_never_used_leaves_nothing(place: Path) -> None:
    PrivateDirectory("actors").remove()
    assert list(place.iterdir()) == []


def test_those_of_killed_processes_are_removed_by_the_next_and_no_others(place: Path) -> None:
    in_use, abandoned, young = (PrivateDirectory("actors") for _ in range(3))
    for one in (in_use, abandoned, young):
        one.make()
    abandoned.config.touch()
    for one in (abandoned, young):
        one._unlock()  # As Linux does when a process ends.
    foreign = place / "holdfast-actors-of-others"
    foreign.mkdir(mode=0o755)
    for path in (in_use.path, abandoned.path, foreign):
        age(path)
    services = PrivateDirectory("services")
    services.make()
    assert abandoned.path.exists()
    following = PrivateDirectory("actors")
    following.make()
    assert set(place.iterdir()) == {in_use.path, young.path, foreign, services.path, following.path}
    for one in (in_use, young, services, following):
        one.remove()
        one.remove()
    assert list(place.iterdir()) == [foreign]


def test_one_that_was_cleaned_away_is_made_again(place: Path) -> None:
    directory = PrivateDirectory("actors")
    directory.make()
    directory.path.rmdir()
    directory.make()
    assert directory.path.stat().st_mode & 0o777 == 0o700
    directory.make()
    directory.remove()
    assert list(place.iterdir()) == []


def test_what_somebody_else_has_put_in_its_place_is_refused(place: Path) -> None:
    directory = PrivateDirectory("actors")
    directory.path.mkdir(mode=0o755)
    with pytest.raises(PermissionError):
        directory.make()
    directory.path.rmdir()
    directory.path.symlink_to(place)
    with pytest.raises(PermissionError):
        directory.make()
    directory.path.unlink()
    assert list(place.iterdir()) == []
