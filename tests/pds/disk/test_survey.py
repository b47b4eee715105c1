"""Measuring files in the background: at most one at a time, not too often, and given up at once."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from actor_store.layout import ActorLayout
from pds.disk.sizes import (
    DatabaseTotals,
    FileTotals,
    MeasuringStopped,
    ShouldStop,
    count_files,
    measure_actor_stores,
    measure_database,
    measure_tree,
)
from pds.disk.survey import StorageSurvey
from pds.disk.usage import ActorsAndBlobs
from tests.clock import Clock

NOTHING = ActorsAndBlobs(DatabaseTotals(), FileTotals(), FileTotals())


class Measuring:
    """Measures when it is told to."""

    def __init__(self) -> None:
        self.calls = 0
        self.go_on = threading.Event()

    def __call__(self, should_stop: ShouldStop) -> ActorsAndBlobs:
        self.calls += 1
        while not self.go_on.wait(0.001):
            if should_stop():
                raise MeasuringStopped
        return NOTHING


def never() -> bool:
    return False


async def test_many_who_ask_wait_for_one_measurement() -> None:
    measuring = Measuring()
    survey = StorageSurvey(measuring)
    asking = [asyncio.create_task(survey.current(patience_s=5)) for _ in range(5)]
    await asyncio.sleep(0)
    measuring.go_on.set()
    found = await asyncio.gather(*asking)
    assert measuring.calls == 1
    assert {id(one) for one in found} == {id(survey.latest)}
    await survey.close()


async def test_impatience_gets_what_there_is() -> None:
    measuring = Measuring()
    survey = StorageSurvey(measuring)
    assert await survey.current(patience_s=0) is None
    measuring.go_on.set()
    assert await survey.current(patience_s=5) is not None
    await survey.close()


async def test_a_result_stays_good_for_a_minute() -> None:
    measuring, clock = Measuring(), Clock()
    measuring.go_on.set()
    survey = StorageSurvey(measuring, clock=clock)
    for later_s, calls in ((0, 1), (59, 1), (2, 2), (59, 2)):
        clock.now_s += later_s
        await survey.current(patience_s=5)
        assert measuring.calls == calls
    await survey.close()


async def test_what_took_long_stays_good_for_longer() -> None:
    clock = Clock()
    calls = 0

    def measure(_: ShouldStop) -> ActorsAndBlobs:
        nonlocal calls
        calls += 1
        clock.now_s += 100
        return NOTHING

    survey = StorageSurvey(measure, clock=clock)
    for later_s, expected in ((0, 1), (4999, 1), (2, 2)):
        clock.now_s += later_s
        await survey.current(patience_s=5)
        assert calls == expected
    await survey.close()


async def test_closing_waits_for_nothing_to_be_measured() -> None:
    measuring = Measuring()
    survey = StorageSurvey(measuring)
    survey.refresh()
    await survey.close()
    assert survey.latest is None
    survey.refresh()
    assert measuring.calls == 1


async def test_a_directory_that_cannot_be_read_leaves_the_old_result() -> None:
    clock = Clock()
    answers: list[ActorsAndBlobs | OSError] = [NOTHING, PermissionError("no")]

    def measure(_: ShouldStop) -> ActorsAndBlobs:
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    survey = StorageSurvey(measure, clock=clock)
    first = await survey.current(patience_s=5)
    clock.now_s += 1000
    assert await survey.current(patience_s=5) is first
    await survey.close()


def test_a_tree_is_all_its_files_but_for_one_directory(tmp_path: Path) -> None:
    for name, size in (("a/one", 10), ("a/b/two", 200), ("tempt/three", 3000)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(bytes(size))
    (tmp_path / "a" / "link").symlink_to(tmp_path / "tempt", target_is_directory=True)
    link_bytes = (tmp_path / "a" / "link").lstat().st_size
    assert measure_tree(tmp_path, never, without=tmp_path / "a" / ".." / "tempt") == FileTotals(
        3, 210 + link_bytes
    )
    assert measure_tree(tmp_path / "tempt", never) == FileTotals(1, 3000)
    assert measure_tree(tmp_path / "missing", never) == FileTotals()
    with pytest.raises(MeasuringStopped):
        measure_tree(tmp_path, lambda: True)


def test_a_database_that_is_missing_takes_no_room(tmp_path: Path) -> None:
    assert measure_database(tmp_path / "none.sqlite") == DatabaseTotals()
    (tmp_path / "some.sqlite").write_bytes(bytes(4096))
    (tmp_path / "some.sqlite-wal").write_bytes(bytes(32))
    assert measure_database(tmp_path / "some.sqlite") == DatabaseTotals(1, 4096, 32)


def test_actors_are_summed_up(tmp_path: Path) -> None:
    layout = ActorLayout(tmp_path)
    for number in range(3):
        directory = layout.directory(f"did:plc:{number}")
        directory.mkdir(parents=True)
        (directory / "key").write_bytes(bytes(32))
        if number:
            (directory / "store.sqlite").write_bytes(bytes(1000))
            (directory / "store.sqlite-wal").write_bytes(bytes(10))
    assert measure_actor_stores(layout, never) == DatabaseTotals(2, 2000, 20)
    with pytest.raises(MeasuringStopped):
        measure_actor_stores(layout, lambda: True)


def test_counting_files_ends_when_it_is_told_to(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / "did" / name).mkdir(parents=True)
        (tmp_path / "did" / name / "file").touch()
    assert count_files(tmp_path, lambda: False) == (3, True)
    assert count_files(tmp_path, lambda: False, without=tmp_path / "did" / "a") == (2, True)
    assert count_files(tmp_path, lambda: True) == (0, False)
    assert count_files(tmp_path / "missing", lambda: False) == (0, True)
