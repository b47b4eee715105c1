"""The compaction of replicas that the real Litestream writes, before and after."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pds.replication.compaction import compact
from pds.replication.errors import DamagedReplicaFile, ReplicaUnavailable
from pds.replication.ltx import transfer
from pds.replication.ltx.names import LtxName
from pds.replication.ltx.reading import LtxReader
from pds.replication.ltx.writing import LtxWriter
from tests.pds.replication.directory_place import DirectoryPlace
from tests.pds.replication.ltx.conftest import Database
from tests.pds.replication.real_litestream import (
    Litestream,
    list_files,
    restore,
    running_litestream,
    sources,
    stored_files,
)

HOUR_S = 3600.0
RETENTION_S = 7 * 24 * HOUR_S
START_S = 1_790_000_000.0 // HOUR_S * HOUR_S


@pytest.fixture
def litestream(tmp_path: Path) -> Iterator[Litestream]:
    with running_litestream(tmp_path / "replica") as daemon:
        yield daemon


@pytest.fixture
def place(litestream: Litestream) -> DirectoryPlace:
    return DirectoryPlace(litestream.replica)


@pytest.fixture
def database(litestream: Litestream, tmp_path: Path) -> Database:
    """A database with 41 files of level 0."""
    database = Database(tmp_path / "a.sqlite", litestream)
    database.insert(30)
    for _ in range(40):
        database.insert(1)
        database.sync()
    database.insert(300)
    database.sync()
    litestream.unregister(database.path)
    return database


def spread(replica: Path, *, every_s: float) -> None:
    """Give the files of level 0 the times that they would have with pauses between them."""
    for file in stored_files(replica):
        assert file.name.level == 0
        path = replica / file.path
        time_ms = time_of(file.name.first, every_s)
        with LtxReader(sources(replica, [file])[0]) as reader:
            header = replace(reader.header, timestamp_ms=time_ms)
            pages = list(reader.pages())
        with path.open("wb") as target, LtxWriter(target, header) as writer:
            for page, content in pages:
                writer.add(page, content)
            writer.finish()
        os.utime(path, ns=(time_ms * 1_000_000,) * 2)


def time_of(txid: int, every_s: float) -> int:
    return int((START_S + (txid - 1) * every_s) * 1000)


def names(replica: Path) -> set[tuple[int, int, int]]:
    return {(f.name.level, f.name.first, f.name.last) for f in stored_files(replica)}


def damage(replica: Path, path: str) -> None:
    data = bytearray((replica / path).read_bytes())
    data[len(data) // 2] ^= 1
    (replica / path).write_bytes(data)


def restore_at(database: Database, time_ms: float, path: Path) -> bytes:
    text = datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return restore(database.url, path, "-timestamp", text.replace("+00:00", "Z"))


async def test_files_of_an_hour_become_one_and_the_database_stays_the_same(
    database: Database, place: DirectoryPlace, tmp_path: Path
) -> None:
    spread(place.root, every_s=300)  # Twelve an hour.
    before = restore(database.url, tmp_path / "before")
    now_s = START_S + 5 * HOUR_S
    done = await compact(place, "a.sqlite", now_s=now_s, retention_s=RETENTION_S)
    expected = {(1, 1, 12), (1, 13, 24), (1, 25, 36), (1, 37, 41), (9, 1, 41), (0, 41, 41)}
    assert names(place.root) == set(list_files(database.url)) == expected
    assert (done.files, done.merged, done.has_snapshot, done.deleted) == (6, 4, True, 40)
    assert done.size == sum(file.size for file in stored_files(place.root))
    assert restore(database.url, tmp_path / "after") == before
    restore(database.url, tmp_path / "checked", "-integrity-check", "full")


async def test_files_of_the_last_hour_stay(database: Database, place: DirectoryPlace) -> None:
    spread(place.root, every_s=300)
    now_s = time_of(41, 300) / 1000
    done = await compact(place, "a.sqlite", now_s=now_s, retention_s=RETENTION_S)
    left = {first for level, first, _ in names(place.root) if level == 0}
    # What became one file with any of the last hour.
    assert left == set(range(25, 42))
    assert done.due_s is not None
    assert done.due_s == pytest.approx(time_of(36, 300) / 1000 + HOUR_S, abs=1)
    done = await compact(place, "a.sqlite", now_s=done.due_s, retention_s=RETENTION_S)
    assert (done.merged, done.has_snapshot, done.deleted) == (0, False, 12)


async def test_litestream_restores_every_hour_within_the_retention(
    database: Database, place: DirectoryPlace, tmp_path: Path
) -> None:
    every_s = 700.0
    spread(place.root, every_s=every_s)
    newest_s = time_of(41, every_s) / 1000
    times = [(START_S + hour * HOUR_S) * 1000 for hour in range(1, 8)]
    times += [time_of(txid, every_s) + 1 for txid in range(36, 41)]
    before = [restore_at(database, time, tmp_path / "before") for time in times]
    done = await compact(place, "a.sqlite", now_s=newest_s, retention_s=RETENTION_S)
    assert done.deleted > 20
    after = [restore_at(database, time, tmp_path / "after") for time in times]
    assert after == before


async def test_a_database_goes_on_incrementally_after_a_compaction(
    database: Database, place: DirectoryPlace, litestream: Litestream, tmp_path: Path
) -> None:
    spread(place.root, every_s=300)
    now_s = START_S + 2 * RETENTION_S
    await compact(place, "a.sqlite", now_s=now_s, retention_s=RETENTION_S)
    assert names(place.root) == {(1, 1, 41), (0, 41, 41)}
    database.insert(2)
    assert database.sync() == 42
    sizes = {(file.name.level, file.name.last): file.size for file in stored_files(place.root)}
    assert sizes[0, 42] < sizes[1, 41] / 4
    litestream.unregister(database.path)
    database.run("PRAGMA wal_checkpoint(TRUNCATE)")
    assert restore(database.url, tmp_path / "after") == database.path.read_bytes()


async def test_what_is_older_than_the_retention_goes_when_it_is_due(
    database: Database, place: DirectoryPlace, tmp_path: Path
) -> None:
    spread(place.root, every_s=300)
    before = restore(database.url, tmp_path / "before")
    due_s: float | None = START_S + 5 * HOUR_S
    while due_s is not None:
        done = await compact(place, "a.sqlite", now_s=due_s, retention_s=RETENTION_S)
        assert restore(database.url, tmp_path / "after") == before
        assert done.due_s is None or done.due_s > due_s
        due_s = done.due_s
    assert names(place.root) == {(9, 1, 41), (0, 41, 41)}


class Crash(Exception):
    """The process dies."""


async def test_a_crash_at_any_step_loses_nothing(
    database: Database, place: DirectoryPlace, tmp_path: Path
) -> None:
    spread(place.root, every_s=1000)
    newest_s = time_of(41, 1000) / 1000 + 2 * HOUR_S
    at_three_ms = (START_S + 3 * HOUR_S) * 1000
    before = restore(database.url, tmp_path / "before")
    at_three = restore_at(database, at_three_ms, tmp_path / "before")
    crashes = steps = 0

    def die_at_second(_method: str, _name: str) -> None:
        nonlocal steps
        steps += 1
        if steps == 2:
            raise Crash

    place.before = die_at_second
    while True:
        steps = 0
        try:
            await compact(place, "a.sqlite", now_s=newest_s, retention_s=RETENTION_S)
            break
        except Crash:
            crashes += 1
        assert restore(database.url, tmp_path / "after") == before
        assert restore_at(database, at_three_ms, tmp_path / "after") == at_three
    assert crashes > 20
    left = names(place.root)
    merged = max(last for level, _, last in left if level == 1)
    assert (9, 1, 41) in left
    assert {first for level, first, _ in left if level == 0} == set(range(merged + 1, 42))


async def test_a_damaged_file_that_the_newest_state_needs_stops_everything(
    database: Database, place: DirectoryPlace
) -> None:
    spread(place.root, every_s=300)
    path = LtxName(0, 20, 20).path("a.sqlite")
    damage(place.root, path)
    before = names(place.root)
    with pytest.raises(DamagedReplicaFile, match=re.escape(path)):
        await compact(place, "a.sqlite", now_s=START_S + 1e7, retention_s=RETENTION_S)
    assert names(place.root) >= before


async def test_a_new_upload_closes_the_gap_of_a_damaged_file(
    database: Database, place: DirectoryPlace, litestream: Litestream, tmp_path: Path
) -> None:
    spread(place.root, every_s=300)
    path = LtxName(0, 20, 20).path("a.sqlite")
    damage(place.root, path)
    database.run("PRAGMA wal_checkpoint(TRUNCATE)")
    database.insert(1)
    database.sync()
    database.insert(1)
    assert database.sync() == 43
    litestream.unregister(database.path)
    done = await compact(place, "a.sqlite", now_s=START_S + 1e7, retention_s=RETENTION_S)
    assert (done.damaged, done.has_snapshot) == ((path,), True)
    assert (9, 1, 43) in names(place.root)
    database.run("PRAGMA wal_checkpoint(TRUNCATE)")
    assert restore(database.url, tmp_path / "after") == database.path.read_bytes()


async def test_large_databases_go_through_temporary_files(
    database: Database, place: DirectoryPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "_IN_MEMORY_BYTES", 20_000)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    seen = set[int]()
    place.before = lambda _method, _name: seen.add(len(list(scratch.rglob("*"))))
    before = restore(database.url, tmp_path / "before")
    spread(place.root, every_s=300)
    await compact(place, "a.sqlite", now_s=START_S + 1e7, retention_s=RETENTION_S, scratch=scratch)
    assert max(seen) > 3
    assert list(scratch.iterdir()) == []
    assert names(place.root) == {(1, 1, 41), (0, 41, 41)}
    assert restore(database.url, tmp_path / "after") == before


async def test_a_place_that_fails_leaves_no_temporary_files(
    database: Database, place: DirectoryPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "_IN_MEMORY_BYTES", 20_000)
    scratch = tmp_path / "scratch"
    scratch.mkdir()

    def fail(_method: str, _name: str) -> None:
        raise ReplicaUnavailable("away")

    place.before = fail
    before = names(place.root)
    spread(place.root, every_s=300)
    with pytest.raises(ReplicaUnavailable):
        await compact(
            place, "a.sqlite", now_s=START_S + 1e7, retention_s=RETENTION_S, scratch=scratch
        )
    assert list(scratch.iterdir()) == []
    assert names(place.root) == before


async def test_a_database_without_files_is_left_alone(place: DirectoryPlace) -> None:
    done = await compact(place, "b.sqlite", now_s=START_S, retention_s=RETENTION_S)
    assert (done.files, done.deleted, done.due_s) == (0, 0, None)
