"""Which files are found, whatever lies beside them and however they are called."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pds.config import ConfigError
from pds.readonly.car_files import CACHE, find_car_files, shown_path
from pds.readonly.environment import ReadonlyEnvironment, read_environment

ODD_NAMES = [b"a b.car", b"*.car", b"[x].car", b"line\nbreak.car", b"\xff\xfe.car", b"<b>.car"]


def found(*places: Path | str) -> list[str]:
    return [shown_path(file.path) for file in find_car_files(map(str, places))]


def files_in(directory: Path, *names: str) -> None:
    for name in names:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(b"x")


def test_directories_are_searched_in_depth_and_the_cache_is_not(tmp_path: Path) -> None:
    files_in(tmp_path, "a.car", "b/c/d.car", "b/readme.txt", f"{CACHE}/e.car", f"b/{CACHE}/f.car")
    assert found(tmp_path) == [str(tmp_path / "a.car"), str(tmp_path / "b/c/d.car")]


def test_what_a_pattern_matches_is_a_file_or_searched(tmp_path: Path) -> None:
    files_in(tmp_path, "one/a.car", "one/b.txt", "two/c.car", "d.car")
    every = [str(tmp_path / name) for name in ("d.car", "one/a.car", "two/c.car")]
    assert found(tmp_path / "*") == every
    assert found(tmp_path / "**" / "*.car") == every
    assert found(tmp_path / "o*" / "a.car") == every[1:2]


def test_a_file_that_is_named_twice_is_one_file(tmp_path: Path) -> None:
    files_in(tmp_path, "a.car")
    (tmp_path / "link.car").symlink_to("a.car")
    assert found(tmp_path, tmp_path / "a.car", tmp_path / "*.car") == [str(tmp_path / "a.car")]


def test_links_in_circles_end(tmp_path: Path) -> None:
    files_in(tmp_path, "a.car")
    (tmp_path / "up").symlink_to(tmp_path)
    (tmp_path / "self.car").symlink_to("self.car")
    (tmp_path / "gone.car").symlink_to("nowhere")
    assert found(tmp_path, tmp_path / "self.car", tmp_path / "*") == [str(tmp_path / "a.car")]


def test_what_is_no_file_is_left_alone(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.car")
    (tmp_path / "directory.car").mkdir()
    assert found(tmp_path, tmp_path / "pipe.car", tmp_path / "none", tmp_path / "a**.car") == []


@pytest.mark.parametrize("name", ODD_NAMES)
def test_any_name_will_do(tmp_path: Path, name: bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    path.write_bytes(b"x")
    for place in (tmp_path, path):
        (file,) = find_car_files([str(place)])
        assert file.path == path
    shown_path(path).encode()


def environment(place: Path | str, **options: Path) -> ReadonlyEnvironment:
    listen = {"PDS_BIND_ADDRESS": "127.0.0.1", "PDS_PORT": "3000", "PDS_HOSTNAME": "localhost"}
    data = options.get("data")
    return read_environment({}, places=[str(place)], blobs=None, data=data, listen=listen)


@pytest.mark.parametrize("place", ["", "a.car", "*.car", "**/*.car", "[a]*/b.car"])
def test_the_cache_is_beside_the_files(tmp_path: Path, place: str) -> None:
    files_in(tmp_path, "a.car", "ab/b.car")
    assert environment(tmp_path / place).settings.data_directory == tmp_path / CACHE


def test_a_place_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere/a\.car is not there"):
        environment(tmp_path / "nowhere" / "a.car")
    assert not (tmp_path / "nowhere").exists()


def test_a_directory_that_sqlite_cannot_name_is_refused(tmp_path: Path) -> None:
    directory = tmp_path / os.fsdecode(b"\xff")
    directory.mkdir()
    with pytest.raises(ConfigError, match=r"\\xff.*--data"):
        environment(directory)
    other = environment(directory, data=tmp_path / "data")
    assert other.settings.data_directory == tmp_path / "data"
