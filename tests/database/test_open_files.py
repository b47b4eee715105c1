"""Files that are open are counted, and the last of them kept for what must always work."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from pathlib import Path

import pytest

from database import open_files
from database.open_files import OpenFiles, OutOfFiles, count_open_files


class Hoard:
    """A keeper whose open files it gives back at once; also counts the process's files."""

    def __init__(self, files: int) -> None:
        self.files = files
        self.others = 0
        self.wanted_files = 0

    def give_back(self, files: int) -> None:
        self.files -= min(files, self.files)

    def count(self) -> int:
        return self.files + self.others


def test_what_is_counted_is_what_is_open() -> None:
    before = count_open_files()
    descriptors = [os.open(os.devnull, os.O_RDONLY) for _ in range(5)]
    try:
        assert count_open_files() == before + 5
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def test_older_systems_are_counted_by_listing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Listed:
        def stat(self) -> os.stat_result:
            return os.stat_result((0,) * 10)

        def iterdir(self) -> list[str]:
            return ["0", "1", "2"]

    monkeypatch.setattr(open_files, "_DESCRIPTORS", Listed())
    assert count_open_files() == 3


def test_when_nothing_can_be_listed_for_lack_of_files_all_are_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Full:
        def stat(self) -> os.stat_result:
            raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr(open_files, "_DESCRIPTORS", Full())
    assert count_open_files() == open_files.limit_of_open_files()


def test_some_files_are_left_whatever_is_asked_for() -> None:
    files = OpenFiles(limit=1_000, count=lambda: 900)
    assert files.has_room(100 - files.spare)
    assert not files.has_room(101 - files.spare)


def test_connections_may_go_further_but_not_to_the_end() -> None:
    files = OpenFiles(limit=1_000, count=lambda: 1_000 - files.spare // 2)
    assert not files.has_room(0)
    assert files.has_room_for_connection()
    files.note_opened(1)
    assert not OpenFiles(limit=1_000, count=lambda: 999).has_room_for_connection()


def test_what_was_told_counts_until_it_is_looked_again() -> None:
    open_now = 0
    files = OpenFiles(limit=1_000, count=lambda: open_now)
    files.note_opened(10_000)
    # There was a look, and it has found that all of them are closed again.
    assert files.has_room(1)


def test_the_keeper_gives_back_before_there_is_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_files, "_SHARE_OF_TIME", 0)
    hoard = Hoard(900)
    files = OpenFiles(limit=1_000, count=hoard.count)
    files.keep_with(hoard)
    for _ in range(500):
        assert files.has_room(1)
        hoard.others += 1
        files.note_opened(1)
        assert hoard.count() <= 1_000 - files.spare
    assert hoard.files > 300, "no more is given back than is needed"


def test_files_that_the_keeper_needs_are_not_for_others() -> None:
    hoard = Hoard(0)
    hoard.others, hoard.wanted_files = 900, 30
    files = OpenFiles(limit=1_000, count=hoard.count)
    files.keep_with(hoard)
    left = 100 - files.spare
    assert not files.has_room(left)
    assert files.has_room(left - 30)
    assert files.has_room(left, for_keeper=True)


async def test_files_about_to_be_opened_are_counted() -> None:
    files = OpenFiles(limit=1_000, count=lambda: 900, clock=lambda: 100.0)
    left = 100 - files.spare
    async with files.room(left):
        assert not files.has_room(1)
    assert not files.has_room(1), "now they are open, as far as is known"


async def test_room_is_waited_for() -> None:
    open_now = 1_000
    files = OpenFiles(limit=1_000, count=lambda: open_now)
    waiting = asyncio.create_task(files.until_room(1))
    await asyncio.sleep(0)
    assert not waiting.done()
    open_now = 0
    await asyncio.wait_for(waiting, 20)


async def test_the_operator_learns_of_the_limit_and_how_to_raise_it_but_not_every_time(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(open_files, "WAIT_S", 0.02)
    files = OpenFiles(limit=1_000, count=lambda: 1_000)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            with pytest.raises(OutOfFiles, match=r"limit of 1000 open files.*LimitNOFILE"):
                await files.until_room(1)
    (line,) = caplog.messages
    assert "limit of 1000 open files" in line
    assert "ulimit -n" in line
