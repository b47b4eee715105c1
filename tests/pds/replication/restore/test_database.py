"""One database from a damaged, moving or older replica."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from database.opening import open_database
from pds.replication.errors import ReplicaFileMissing, ReplicaUnavailable
from pds.replication.ltx.merging import merge
from pds.replication.ltx.names import SNAPSHOT_LEVEL, LtxFile, LtxName, list_ltx
from pds.replication.ltx.reading import LtxReader, LtxSource
from pds.replication.ltx.writing import LtxWriter
from pds.replication.replica.file_place import FilePlace
from pds.replication.replica.place import StoredFile
from pds.replication.restore.database import DatabaseRestorer, Outcome
from pds.replication.restore.patience import PatientReader
from tests.pds.replication.real_litestream import restore, sources, stored_files
from tests.pds.replication.restore.origin import Origin

Rewrite = Callable[[Path], None]


class Bench:
    """Restores alice's database, whose transactions have the preferences 0 to 3."""

    def __init__(self, origin: Origin, tmp_path: Path) -> None:
        self.origin = origin
        self.replica = origin.replica
        self.name = origin.database("alice")
        self.path = tmp_path / "store.sqlite"
        self.executor = ThreadPoolExecutor(1)

    def files(self) -> list[LtxFile]:
        """The files, oldest first."""
        found = [file for file in stored_files(self.replica) if file.database == self.name]
        return sorted(found, key=lambda file: (file.name.first, file.name.level))

    def file(self, index: int) -> Path:
        return self.replica / self.files()[index].path

    def merge(self, level: int, first: int, last: int) -> Path:
        """Write a merged file of the transactions `first` to `last`, beside those it is made of."""
        files = [
            file for file in self.files() if first <= file.name.first <= file.name.last <= last
        ]
        path = self.replica / LtxName(level, first, last).path(self.name)
        path.parent.mkdir(exist_ok=True)
        with path.open("wb") as file:
            header, _ = merge(sources(self.replica, files), file)
        os.utime(path, (header.timestamp_ms / 1000, header.timestamp_ms / 1000))
        return path

    async def restore(
        self, *, as_of_ms: int | None = None, place: FilePlace | None = None
    ) -> Outcome:
        reader = PatientReader(place or FilePlace(self.replica), delays_s=())
        restorer = DatabaseRestorer(reader, self.executor, as_of_ms=as_of_ms)
        return await restorer.restore(await list_ltx(reader, self.name), self.path)

    def values(self) -> list[str]:
        """The preferences that came back, of a sound database."""
        with closing(open_database(self.path, create=False)) as db:
            assert db.value("PRAGMA integrity_check") == "ok"
            return [
                value
                for (value,) in db.all(
                    "SELECT valueJson FROM account_pref WHERE name = 'test' ORDER BY id"
                )
            ]


@pytest.fixture
def bench(origin: Origin, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(origin, tmp_path)
    yield bench
    bench.executor.shutdown()
    assert {path.name for path in tmp_path.iterdir()} <= {
        *("replica", "store.sqlite", "store.sqlite-wal", "store.sqlite-shm", "theirs.sqlite")
    }


def flip(path: Path) -> None:
    """Damage one bit in the middle."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [flip, cut, empty])
async def test_damage_is_named_and_the_state_before_it_comes_back(
    bench: Bench, damage: Rewrite
) -> None:
    damaged = bench.file(-2)
    damage(damaged)
    outcome = await bench.restore()
    assert (outcome.is_restored, outcome.has_lost) == (True, True)
    assert f"{bench.files()[-2].path} is damaged: " in outcome.reason
    assert "are lost" in outcome.reason
    assert bench.values() == ["0", "1"]


async def test_a_merged_file_stands_in_for_a_damaged_one(bench: Bench) -> None:
    last = bench.files()[-1].name.last
    bench.merge(1, 1, last - 1)
    flip(bench.replica / LtxName(1, 1, last - 1).path(bench.name))
    outcome = await bench.restore()
    assert (outcome.is_restored, outcome.has_lost) == (True, False)
    assert "ltx/1/" in outcome.reason
    assert bench.values() == ["0", "1", "2", "3"]


async def test_the_snapshot_before_the_damage_comes_back(bench: Bench) -> None:
    last = bench.files()[-1].name.last
    bench.merge(SNAPSHOT_LEVEL, 1, last - 3)
    for file in bench.files():
        if file.name.level == 0 and file.name.first <= last - 2:
            (bench.replica / file.path).unlink()
    outcome = await bench.restore()
    assert (outcome.is_restored, outcome.has_lost) == (True, True)
    assert f"transactions {last - 2} to {last}" in outcome.reason
    assert bench.values() == ["0"]


async def test_a_database_without_a_beginning_is_not_restored(bench: Bench) -> None:
    flip(bench.file(0))
    outcome = await bench.restore()
    assert not outcome.is_restored
    assert not outcome.is_later
    assert outcome.reason.startswith("no file of it has the whole database; actors/")
    assert not bench.path.exists()


async def test_a_file_beyond_a_gap_that_has_everything_is_used(bench: Bench) -> None:
    """Litestream writes one when it has lost track of a WAL."""
    last = bench.files()[-1].name.last
    whole = bench.merge(1, 1, last)
    flip(bench.file(2))
    # The whole database as the last transaction alone: its name does not tell.
    with (
        LtxReader(LtxSource("whole", whole)) as reader,
        bench.file(-1).open("wb") as file,
        LtxWriter(file, replace(reader.header, first=last)) as writer,
    ):
        for page, content in reader.pages():
            writer.add(page, content)
        writer.finish()
    whole.unlink()
    outcome = await bench.restore()
    assert (outcome.is_restored, outcome.has_lost) == (True, False)
    assert bench.values() == ["0", "1", "2", "3"]


async def test_files_that_go_away_while_they_are_read_are_listed_again(bench: Bench) -> None:
    last = bench.files()[-1].name.last

    class Compacting(FilePlace):
        """Has merged all files, and removed them, when one is read."""

        async def read(self, name: str, *, max_bytes: int) -> bytes:
            files = bench.files()
            if len(files) > 1:
                bench.merge(1, 1, last)
                for file in files:
                    (bench.replica / file.path).unlink()
            return await super().read(name, max_bytes=max_bytes)

    outcome = await bench.restore(place=Compacting(bench.replica))
    assert outcome == replace(outcome, is_restored=True, reason="", has_lost=False)
    assert bench.values() == ["0", "1", "2", "3"]


async def test_files_that_go_away_again_and_again_are_given_up(bench: Bench) -> None:
    class Leaking(FilePlace):
        """Lists files that are never there."""

        async def read(self, name: str, *, max_bytes: int) -> bytes:
            raise ReplicaFileMissing(name)

    with pytest.raises(ReplicaFileMissing, match="again and again"):
        await bench.restore(place=Leaking(bench.replica))


@pytest.mark.parametrize("times_are_known", [True, False])
@pytest.mark.parametrize("values", [0, 1, 3])
async def test_a_time_in_the_past_gives_what_litestream_gives(
    bench: Bench, tmp_path: Path, values: int, *, times_are_known: bool
) -> None:
    files = bench.files()
    as_of_ms = files[values - 4].modified_ms
    when = datetime.fromtimestamp(as_of_ms / 1000, UTC).isoformat(timespec="milliseconds")
    url = f"file://{bench.replica / bench.name}"
    theirs = restore(url, tmp_path / "theirs.sqlite", "-timestamp", when.replace("+00:00", "Z"))
    if not times_are_known:
        # As in a bucket: when a file was written there.
        for file in files:
            os.utime(bench.replica / file.path)
    outcome = await bench.restore(as_of_ms=as_of_ms)
    assert (outcome.is_restored, outcome.has_lost, outcome.off_ms) == (True, False, 0)
    assert bench.path.read_bytes() == theirs
    assert bench.values() == [str(value) for value in range(values)]


async def test_how_far_a_time_may_be_off_is_told(bench: Bench) -> None:
    """Transactions on both sides of the time are in one file."""
    last = bench.files()[-1].name.last
    times_ms = {file.name.last: file.modified_ms for file in bench.files()}
    bench.merge(1, last - 2, last)
    for file in bench.files():
        if file.name.level == 0 and file.name.first >= last - 2:
            (bench.replica / file.path).unlink()
    outcome = await bench.restore(as_of_ms=times_ms[last])
    assert outcome.off_ms == times_ms[last] - times_ms[last - 3]
    assert bench.values() == ["0"]


async def test_what_did_not_exist_yet_is_not_restored(bench: Bench) -> None:
    outcome = await bench.restore(as_of_ms=bench.files()[0].modified_ms)
    assert (outcome.is_restored, outcome.is_later) == (False, True)


async def test_large_databases_go_through_files_that_are_gone_afterwards(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pds.replication.restore.fetching._IN_MEMORY_BYTES", 0)
    outcome = await bench.restore()
    assert outcome.is_restored
    assert bench.values() == ["0", "1", "2", "3"]


class Away(FilePlace):
    """Is away for some calls, and for good after that many."""

    def __init__(self, root: Path, *, failures: int) -> None:
        super().__init__(root)
        self.failures = failures
        self._listed: set[str] = set()

    def _fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise ReplicaUnavailable("away")

    async def list(self, prefix: str = "") -> AsyncIterator[StoredFile]:
        async for file in super().list(prefix):
            yield file
            if file.name not in self._listed:
                # In the middle of the listing.
                self._listed.add(file.name)
                self._fail()

    async def read(self, name: str, *, max_bytes: int) -> bytes:
        self._fail()
        return await super().read(name, max_bytes=max_bytes)


async def test_a_place_that_is_away_for_a_moment_is_waited_for(bench: Bench) -> None:
    waited: list[float] = []

    async def pause(delay_s: float) -> None:
        waited.append(delay_s)

    place = Away(bench.replica, failures=len(bench.files()) + 2)
    reader = PatientReader(place, delays_s=(1.0, 2.0), pause=pause)
    files = await list_ltx(reader, bench.name)
    assert sorted(file.path for file in files) == sorted(file.path for file in bench.files())
    outcome = await DatabaseRestorer(reader, bench.executor).restore(files, bench.path)
    assert outcome.is_restored
    assert waited[:2] == [1.0, 1.0]
    assert bench.values() == ["0", "1", "2", "3"]


async def test_a_place_that_stays_away_is_an_error(bench: Bench) -> None:
    waited: list[float] = []

    async def pause(delay_s: float) -> None:
        waited.append(delay_s)

    shutil.rmtree(bench.replica)
    reader = PatientReader(FilePlace(bench.replica), delays_s=(1.0, 2.0), pause=pause)
    with pytest.raises(ReplicaUnavailable, match="is missing"):
        await list_ltx(reader, bench.name)
    assert waited == [1.0, 2.0]
