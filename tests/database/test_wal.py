"""WAL files inspected without SQLite: headers, truncation and syncing."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from database.connection import Database
from database.errors import DatabaseDamaged
from database.opening import open_database
from database.wal import check_length, check_wal, sync_wal, wal_path


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    """A database with some pages in the file and more in its WAL."""
    opened = open_database(tmp_path / "some.sqlite")
    opened.run("CREATE TABLE note (text TEXT)")
    _add_pages(opened)
    opened.checkpoint()
    _add_pages(opened)
    yield opened
    opened.close()


@pytest.fixture
def crashed(db: Database, tmp_path: Path) -> Path:
    """The same as a killed process leaves it."""
    (tmp_path / "crashed").mkdir()
    for path in (db.path, wal_path(Path(db.path))):
        shutil.copy(path, tmp_path / "crashed")
    return tmp_path / "crashed" / "some.sqlite"


def test_what_a_crash_leaves_is_sound(crashed: Path) -> None:
    check_wal(crashed)
    check_length(crashed)


def test_a_database_without_a_wal_is_left_to_sqlite(tmp_path: Path) -> None:
    path = tmp_path / "some.sqlite"
    path.write_bytes(b"no database at all")
    check_wal(path)
    check_length(path)
    check_length(tmp_path / "missing.sqlite")


def test_noise_is_no_wal(crashed: Path) -> None:
    wal_path(crashed).write_bytes(random.Random(1).randbytes(10_000))
    with pytest.raises(DatabaseDamaged, match=r"some\.sqlite-wal: is not a WAL"):
        check_wal(crashed)


@pytest.mark.parametrize("at", range(8, 32, 3))
def test_a_changed_byte_of_the_header_is_found(crashed: Path, at: int) -> None:
    wal = bytearray(wal_path(crashed).read_bytes())
    wal[at] ^= 0x40
    wal_path(crashed).write_bytes(wal)
    with pytest.raises(DatabaseDamaged, match="damaged header"):
        check_wal(crashed)


@pytest.mark.parametrize("content", [b"", b"\x37\x7f\x06", bytes(32), bytes(5_000)])
def test_a_header_that_never_reached_the_disk_is_no_damage(crashed: Path, content: bytes) -> None:
    wal_path(crashed).write_bytes(content)
    check_wal(crashed)


def test_both_byte_orders_of_checksums_are_known(crashed: Path) -> None:
    wal = bytearray(wal_path(crashed).read_bytes())
    assert wal[:4] == b"\x37\x7f\x06\x82"
    # The same header as a machine of the other byte order writes it.
    wal[3] = 0x83
    first = second = 0
    for at in range(0, 24, 8):
        first = (first + int.from_bytes(wal[at : at + 4]) + second) & 0xFFFFFFFF
        second = (second + int.from_bytes(wal[at + 4 : at + 8]) + first) & 0xFFFFFFFF
    wal[24:32] = first.to_bytes(4) + second.to_bytes(4)
    wal_path(crashed).write_bytes(wal)
    check_wal(crashed)


@pytest.mark.parametrize("pages", [1, 3, 7])
def test_a_database_that_was_cut_off_is_found_though_its_wal_is_whole(
    crashed: Path, pages: int
) -> None:
    with crashed.open("rb+") as file:
        file.truncate(pages * 4096)
    with pytest.raises(DatabaseDamaged, match="cut off: page"):
        check_length(crashed)


def test_a_transaction_that_was_cut_off_is_no_damage(crashed: Path) -> None:
    for cut in (100, 4_200, 9_000):
        with wal_path(crashed).open("rb+") as file:
            file.truncate(wal_path(crashed).stat().st_size - cut)
        check_length(crashed)


def test_frames_of_before_the_wal_began_anew_do_not_count(db: Database) -> None:
    path = Path(db.path)
    db.checkpoint()
    _add_pages(db)
    db.connection.wal_checkpoint()
    db.run("INSERT INTO note VALUES ('one small commit on the old frames')")
    check_length(path)


def test_syncing_syncs_the_wal_alone(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(
        os, "fsync", lambda fd: synced.append(Path(f"/proc/self/fd/{fd}").readlink().name)
    )
    sync_wal(Path(db.path))
    sync_wal(Path(db.path).with_name("missing.sqlite"))
    assert synced == ["some.sqlite-wal"]


def _add_pages(db: Database) -> None:
    with db.transaction():
        for _ in range(20):
            db.run("INSERT INTO note VALUES (?)", ("x" * 3_000,))
