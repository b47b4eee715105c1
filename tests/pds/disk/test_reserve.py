"""The reserve: taken while there is plenty of room, given up at a start that finds none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from pds.disk.reserve import RESERVE_FILE, RESERVED_BYTES, DiskReserve
from tests.small_disk import fill, filled, small_disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", size_mb=12) as mounted:
        yield mounted


@pytest.fixture
def reserve(disk: Path) -> DiskReserve:
    return DiskReserve(disk, disk / "cache.sqlite")


def test_room_is_taken_once_and_given_up_when_there_is_no_other(
    reserve: DiskReserve, disk: Path
) -> None:
    assert not reserve.release_if_full()
    for _ in range(2):
        reserve.keep()
    assert [path.name for path in disk.iterdir()] == [RESERVE_FILE]
    assert not reserve.release_if_full()
    with filled(disk), capture_logs() as log:
        assert reserve.release_if_full()
        # There is room for databases now.
        (disk / "account.sqlite-shm").write_bytes(bytes(RESERVED_BYTES))
    assert log[0]["deleted"] == [str(disk / RESERVE_FILE)]
    assert "A full disk" in log[0]["remedy"]


def test_no_room_is_taken_from_a_disk_that_has_little(reserve: DiskReserve, disk: Path) -> None:
    with filled(disk, but_bytes=2 * RESERVED_BYTES):
        reserve.keep()
        assert not (disk / RESERVE_FILE).exists()
    reserve.keep()
    assert (disk / RESERVE_FILE).stat().st_size == RESERVED_BYTES


def test_without_a_reserve_the_cache_gives_way(reserve: DiskReserve, disk: Path) -> None:
    for name in ("cache.sqlite", "cache.sqlite-wal", "account.sqlite"):
        (disk / name).write_bytes(b"x" * 100_000)
    with filled(disk, but_bytes=RESERVED_BYTES // 2):
        reserve.release_if_full()
        assert (disk / "cache.sqlite").exists()
    fill(disk)
    reserve.release_if_full()
    assert sorted(path.name for path in disk.iterdir()) == ["account.sqlite", "ballast"]


def test_a_reserve_that_finds_no_room_after_all_leaves_nothing(
    reserve: DiskReserve, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pds.disk.reserve._free_bytes", lambda _: 1 << 30)
    with filled(disk):
        reserve.keep()
        assert [path.name for path in disk.iterdir()] == ["ballast"]
