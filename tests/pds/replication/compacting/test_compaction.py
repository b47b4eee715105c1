"""The compaction of replicas that the real Litestream writes, before and after."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pds.replication.compacting.compaction import compact
from pds.replication.errors import DamagedReplicaFile, ReplicaUnavailable
from pds.replication.ltx import transfer
from pds.replication.ltx.header import decode_header
from pds.replication.ltx.names import LtxName, list_ltx
from pds.replication.ltx.reading import LtxReader, LtxSource
from pds.replication.ltx.writing import LtxWriter
from pds.replication.replica.file_place import FilePlace
from pds.replication.replica.opening import open_place
from pds.replication.replica.place import ReplicaPlace
from pds.replication.replica.url import ReplicaUrl
from tests.pds.replication.ltx.conftest import Database
from tests.pds.replication.real_litestream import (
    Litestream,
    in_directory,
    list_files,
    restore,
    running_litestream,
    stored_files,
)
from tests.pds.replication.replica.conftest import s3_environ, s3_url
from tests.seaweedfs import SeaweedFs

HOUR_S = 3600.0
RETENTION_S = 7 * 24 * HOUR_S
START_S = 1_790_000_000.0 // HOUR_S * HOUR_S


class WatchedPlace(FilePlace):
    """A directory that fails where a test wants it to."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.root = root
        self.before: Callable[[], None] = lambda: None
        """Called before anything is changed."""

    async def write(self, name: str, data: bytes, *, timestamp_ms: int | None = None) -> None:
        self.before()
        await super().write(name, data, timestamp_ms=timestamp_ms)

    async def upload(self, name: str, path: Path, *, timestamp_ms: int | None = None) -> int:
        self.before()
        return await super().upload(name, path, timestamp_ms=timestamp_ms)

    async def delete(self, names: Collection[str]) -> None:
        for name in names:
            self.before()
            await super().delete([name])


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[WatchedPlace]:
    root = tmp_path / "replica"
    await asyncio.to_thread(root.mkdir)
    place = WatchedPlace(root)
    yield place
    await place.close()


@pytest.fixture
def litestream(place: WatchedPlace) -> Iterator[Litestream]:
    with running_litestream(in_directory(place.root)) as daemon:
        yield daemon


@pytest.fixture
def database(litestream: Litestream, tmp_path: Path) -> Database:
    """A database with 41 files of level 0."""
    return make_database(litestream, tmp_path / "a.sqlite")


def make_database(litestream: Litestream, path: Path) -> Database:
    database = Database(path, litestream)
    database.insert(30)
    for _ in range(40):
        database.insert(1)
        database.sync()
    database.insert(300)
    database.sync()
    litestream.unregister(database.path)
    return database


async def spread(place: ReplicaPlace, *, every_s: float) -> None:
    """Give the files of level 0 the times that they would have with pauses between them."""
    for file in await list_ltx(place, "a.sqlite"):
        assert file.name.level == 0
        time_ms = time_of(file.name.first, every_s)
        data = await place.read(file.path, max_bytes=file.size)
        memory = io.BytesIO()
        with LtxReader(LtxSource(file.path, data)) as reader:
            header = replace(reader.header, timestamp_ms=time_ms)
            with LtxWriter(memory, header) as writer:
                for page, content in reader.pages():
                    writer.add(page, content)
                writer.finish()
        await place.write(file.path, memory.getvalue(), timestamp_ms=time_ms)


def time_of(txid: int, every_s: float) -> int:
    return int((START_S + (txid - 1) * every_s) * 1000)


def names(replica: Path) -> set[tuple[int, int, int]]:
    return {(f.name.level, f.name.first, f.name.last) for f in stored_files(replica)}


def damage(replica: Path, path: str) -> None:
    data = bytearray((replica / path).read_bytes())
    data[len(data) // 2] ^= 1
    (replica / path).write_bytes(data)


def restore_at(
    database: Database, time_ms: float, path: Path, environ: Mapping[str, str] | None = None
) -> bytes:
    text = datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return restore(database.url, path, "-timestamp", text.replace("+00:00", "Z"), environ=environ)


async def test_files_of_an_hour_become_one_and_the_database_stays_the_same(
    database: Database, place: WatchedPlace, tmp_path: Path
) -> None:
    await spread(place, every_s=300)  # Twelve an hour.
    before = restore(database.url, tmp_path / "before")
    now_s = START_S + 5 * HOUR_S
    done = await compact(place, "a.sqlite", now_s=now_s, retention_s=RETENTION_S)
    expected = {(1, 1, 12), (1, 13, 24), (1, 25, 36), (1, 37, 41), (9, 1, 41), (0, 41, 41)}
    # By the oldest file Litestream knows how far back it can go.
    expected.add((0, 1, 1))
    assert names(place.root) == set(list_files(database.url)) == expected
    assert (done.files, done.merged, done.has_snapshot, done.deleted) == (7, 4, True, 39)
    assert restore(database.url, tmp_path / "after") == before
    restore(database.url, tmp_path / "checked", "-integrity-check", "full")


async def test_files_of_the_last_hour_stay(database: Database, place: WatchedPlace) -> None:
    await spread(place, every_s=300)
    now_s = time_of(41, 300) / 1000
    done = await compact(place, "a.sqlite", now_s=now_s, retention_s=RETENTION_S)
    left = {first for level, first, _ in names(place.root) if level == 0}
    # What became one file with any of the last hour.
    assert left == {1, *range(25, 42)}
    assert done.due_s is not None
    assert done.due_s == pytest.approx(time_of(36, 300) / 1000 + HOUR_S, abs=1)
    done = await compact(place, "a.sqlite", now_s=done.due_s, retention_s=RETENTION_S)
    assert (done.merged, done.has_snapshot, done.deleted) == (0, False, 12)


async def test_litestream_restores_every_hour_within_the_retention(
    database: Database, place: WatchedPlace, tmp_path: Path
) -> None:
    every_s = 700.0
    await spread(place, every_s=every_s)
    newest_s = time_of(41, every_s) / 1000
    times = [(START_S + hour * HOUR_S) * 1000 for hour in range(1, 8)]
    times += [time_of(txid, every_s) + 1 for txid in range(36, 41)]
    before = [restore_at(database, time, tmp_path / "before") for time in times]
    done = await compact(place, "a.sqlite", now_s=newest_s, retention_s=RETENTION_S)
    assert done.deleted > 20
    after = [restore_at(database, time, tmp_path / "after") for time in times]
    assert after == before


async def test_a_database_goes_on_incrementally_after_a_compaction(
    database: Database, place: WatchedPlace, litestream: Litestream, tmp_path: Path
) -> None:
    await spread(place, every_s=300)
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
    database: Database, place: WatchedPlace, tmp_path: Path
) -> None:
    await spread(place, every_s=300)
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
    database: Database, place: WatchedPlace, tmp_path: Path
) -> None:
    await spread(place, every_s=1000)
    newest_s = time_of(41, 1000) / 1000 + 2 * HOUR_S
    at_three_ms = (START_S + 3 * HOUR_S) * 1000
    before = restore(database.url, tmp_path / "before")
    at_three = restore_at(database, at_three_ms, tmp_path / "before")
    crashes = steps = 0

    def die_at_second() -> None:
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
    assert {first for level, first, _ in left if level == 0} == {1, *range(merged + 1, 42)}


async def test_a_damaged_file_that_the_newest_state_needs_stops_everything(
    database: Database, place: WatchedPlace
) -> None:
    await spread(place, every_s=300)
    path = LtxName(0, 20, 20).path("a.sqlite")
    damage(place.root, path)
    before = names(place.root)
    with pytest.raises(DamagedReplicaFile, match=re.escape(path)):
        await compact(place, "a.sqlite", now_s=START_S + 1e7, retention_s=RETENTION_S)
    assert names(place.root) >= before


async def test_a_new_upload_closes_the_gap_of_a_damaged_file(
    database: Database, place: WatchedPlace, litestream: Litestream, tmp_path: Path
) -> None:
    await spread(place, every_s=300)
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
    database: Database, place: WatchedPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "_IN_MEMORY_BYTES", 20_000)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    seen = set[int]()
    place.before = lambda: seen.add(len(list(scratch.rglob("*"))))
    before = restore(database.url, tmp_path / "before")
    await spread(place, every_s=300)
    await compact(place, "a.sqlite", now_s=START_S + 1e7, retention_s=RETENTION_S, scratch=scratch)
    assert max(seen) > 3
    assert list(scratch.iterdir()) == []
    assert names(place.root) == {(1, 1, 41), (0, 41, 41)}
    assert restore(database.url, tmp_path / "after") == before


async def test_a_place_that_fails_leaves_no_temporary_files(
    database: Database, place: WatchedPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "_IN_MEMORY_BYTES", 20_000)
    scratch = tmp_path / "scratch"
    scratch.mkdir()

    def fail() -> None:
        raise ReplicaUnavailable("away")

    before = names(place.root)
    await spread(place, every_s=300)
    place.before = fail
    with pytest.raises(ReplicaUnavailable):
        await compact(
            place, "a.sqlite", now_s=START_S + 1e7, retention_s=RETENTION_S, scratch=scratch
        )
    assert list(scratch.iterdir()) == []
    assert names(place.root) == before


async def test_a_database_without_files_is_left_alone(place: WatchedPlace) -> None:
    done = await compact(place, "b.sqlite", now_s=START_S, retention_s=RETENTION_S)
    assert (done.files, done.deleted, done.due_s) == (0, 0, None)


async def test_a_bucket_tells_litestream_the_times_of_merged_files(
    seaweedfs: SeaweedFs, tmp_path: Path
) -> None:
    environ = s3_environ(seaweedfs)
    bucket = (await seaweedfs.create_bucket()).bucket
    url = ReplicaUrl.parse(s3_url(seaweedfs, bucket), environ=environ)
    with running_litestream(url.for_litestream, environ) as litestream:
        database = await asyncio.to_thread(make_database, litestream, tmp_path / "a.sqlite")
        async with AsyncExitStack() as stack:
            place = open_place(url, environ=environ)
            stack.push_async_callback(place.close)
            files = await list_ltx(place, "a.sqlite")
            newest = restore(database.url, tmp_path / "newest", environ=environ)
            data = await place.read(files[-1].path, max_bytes=files[-1].size)
            after_newest_ms = decode_header(data, "").timestamp_ms + 1
            now_s = max(file.modified_ms for file in files) / 1000 + 2 * HOUR_S
            done = await compact(place, "a.sqlite", now_s=now_s, retention_s=RETENTION_S)
            assert done.deleted >= 39
            files = await list_ltx(place, "a.sqlite")
            assert {file.name.last for file in files if file.name.level == 0} <= {1, 41}
            assert restore(database.url, tmp_path / "after", environ=environ) == newest
            # The bucket knows seconds only, and Litestream restores nothing later than all files.
            while max(file.modified_ms for file in files) <= after_newest_ms:
                database.insert(1)
                await asyncio.to_thread(database.sync)
                files = await list_ltx(place, "a.sqlite")
        assert restore_at(database, after_newest_ms, tmp_path / "after", environ) == newest
