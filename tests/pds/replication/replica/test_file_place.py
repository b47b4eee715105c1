"""A replica in a directory: what the files are like, and disks that fail."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pds.replication.errors import (
    ReplicaFileMissing,
    ReplicaFull,
    ReplicaRefused,
    ReplicaUnavailable,
)
from pds.replication.replica import file_tree
from pds.replication.replica.file_place import FilePlace
from tests.small_disk import filled, small_disk


def found_in(root: Path) -> list[Path]:
    return sorted(root.rglob("*"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "replica"
    root.mkdir()
    return root


async def test_files_are_for_their_user_alone(root: Path) -> None:
    await FilePlace(root).write("actors/ab/did:plc:a/key.age", b"1")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in found_in(root)}
    assert modes == {"actors": 0o700, "ab": 0o700, "did:plc:a": 0o700, "key.age": 0o600}


async def test_an_ltx_file_has_the_time_of_its_transactions(root: Path) -> None:
    await FilePlace(root).write("a/ltx/0/x.ltx", b"1", timestamp_ms=1_700_000_000_123)
    await FilePlace(root).upload("a/ltx/0/y.ltx", Path(__file__), timestamp_ms=1_600_000_000_000)
    times = [(root / "a/ltx/0" / name).stat().st_mtime_ns for name in ("x.ltx", "y.ltx")]
    assert times == [1_700_000_000_123_000_000, 1_600_000_000_000_000_000]


async def test_unfinished_files_are_not_listed(root: Path) -> None:
    for name in (".a.part", "b.ltx.tmp", "c"):
        (root / name).write_bytes(b"1")
    assert [file.name async for file in FilePlace(root).list()] == ["c"]


async def test_directories_go_with_their_last_file_and_the_root_stays(root: Path) -> None:
    place = FilePlace(root)
    await place.write("a/b/c", b"1")
    await place.write("a/d", b"1")
    await place.delete(["a/b/c"])
    assert [path.name for path in found_in(root)] == ["a", "d"]
    await place.delete(["a/d"])
    assert found_in(root) == []


async def test_symbolic_links_lead_nowhere(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"1")
    (root / "link").symlink_to(outside)
    (root / "file").symlink_to(outside / "file")
    place = FilePlace(root)
    for name in ("link/file", "file"):
        with pytest.raises(ReplicaRefused, match="without symbolic links"):
            await place.read(name, max_bytes=9)
    with pytest.raises(ReplicaRefused):
        await place.write("link/new", b"2")
    with pytest.raises(ReplicaRefused):
        await place.delete(["link/file"])
    for prefix in ("", "link/", "link/f"):
        assert [file.name async for file in place.list(prefix)] == []
    await place.write("file", b"2")
    assert (outside / "file").read_bytes() == b"1"
    assert [path.name for path in outside.iterdir()] == ["file"]


async def test_a_pipe_or_directory_is_no_file(root: Path) -> None:
    os.mkfifo(root / "pipe")
    (root / "directory").mkdir()
    place = FilePlace(root)
    for name in ("pipe", "directory"):
        with pytest.raises(ReplicaFileMissing):
            await place.read(name, max_bytes=9)
    assert [file.name async for file in place.list()] == []


async def test_a_root_that_is_missing_is_not_made(tmp_path: Path) -> None:
    root = tmp_path / "replica"
    place = FilePlace(root)
    for doing in (
        place.read("a", max_bytes=1),
        place.download("a", tmp_path / "file"),
        place.write("a/b", b"1"),
        place.write_if_same("a", b"1", before=None),
        place.upload("a", Path(__file__)),
        place.delete(["a/b"]),
        anext(aiter(place.list())),
    ):
        with pytest.raises(ReplicaUnavailable, match="mount its disk, correct the URL, or make"):
            await doing
    assert found_in(tmp_path) == []


async def test_a_full_disk_keeps_the_old_file_and_says_so(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", size_mb=1) as disk:
        place = FilePlace(disk)
        await place.write("lease.json", b"old")
        big = tmp_path / "big"
        big.write_bytes(bytes(100_000))
        with filled(disk):
            for doing in (
                place.write("lease.json", bytes(100_000)),
                place.write_if_same("lease.json", bytes(100_000), before=b"old"),
                place.upload("lease.json", big),
            ):
                with pytest.raises(ReplicaFull, match="make room there"):
                    await doing
            assert await place.read("lease.json", max_bytes=9) == b"old"
        assert [file.name async for file in place.list()] == ["lease.json"]
        assert not list(disk.glob("*.part"))
        assert not list(disk.glob(".*.part"))


@pytest.fixture
def read_only_disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", size_mb=1) as disk:
        (disk / "a").write_bytes(b"1")
        mount = shutil.which("mount")
        assert mount is not None
        subprocess.run([mount, "-o", "remount,ro", str(disk)], check=True)  # noqa: S603
        yield disk


async def test_a_read_only_disk_can_be_read_and_refuses_writes(read_only_disk: Path) -> None:
    place = FilePlace(read_only_disk)
    assert await place.read("a", max_bytes=1) == b"1"
    for doing in (
        place.write("a", b"2"),
        place.write_if_same("a", b"2", before=b"1"),
        place.upload("b/c", Path(__file__)),
        place.delete(["a"]),
    ):
        with pytest.raises(ReplicaRefused, match="mounted for writing"):
            await doing
    assert await place.read("a", max_bytes=1) == b"1"


async def test_a_disk_that_hangs_is_given_up(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(root / "a")
    place = FilePlace(root, call_s=0.05)
    # As a network share whose server is gone: the call does not come back.
    monkeypatch.setattr(file_tree, "remove", lambda *_: (root / "a").read_bytes())
    try:
        with pytest.raises(ReplicaUnavailable, match="does not answer"):
            await place.delete(["a"])
    finally:
        (root / "a").write_bytes(b"")
        await place.close()


async def test_a_closed_place_says_so(root: Path) -> None:
    place = FilePlace(root)
    await place.close()
    with pytest.raises(ReplicaUnavailable, match="is closed"):
        await place.read("a", max_bytes=1)


async def test_nothing_is_written_or_deleted_while_a_required_file_is_missing(root: Path) -> None:
    place = FilePlace(root)
    await place.write("manifest.json", b"{}")
    await place.write("file", b"one")
    place.require("manifest.json")
    assert await place.has_required()
    (root / "manifest.json").unlink()
    assert not await place.has_required()
    for call in (
        place.write("file", b"two"),
        place.write_if_same("file", b"two", before=b"one"),
        place.upload("file", Path(__file__)),
        place.delete(["file"]),
    ):
        with pytest.raises(ReplicaUnavailable, match="see that its disk is mounted"):
            await call
    assert await place.read("file", max_bytes=9) == b"one"
    assert not (root / ".lock").exists()
    await place.close()
