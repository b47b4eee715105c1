"""Examinations beside the server: one at a time, ended when they must be, their output bounded."""

from __future__ import annotations

import asyncio
import sys
import time

import orjson
import pytest

from database.connection import Database
from database.timestamps import Clock
from pds.administration import examination
from pds.administration.examination import Examination, Examinations
from tests.pds.accounts.conftest import FakeClock

FOUND = {
    "healthy": False,
    "summary": {"ok": 1, "warning": 0, "error": 1, "skipped": 0},
    "findings": [
        {"check": "a", "subject": "s", "status": "ok", "message": "fine", "remedy": ""},
        {"check": "b", "subject": "<b>", "status": "error", "message": "bad", "remedy": "mend"},
    ],
}


ENDLESS = (sys.executable, "-S", "-c", "while True: print('x' * 10_000)")
ASLEEP = (sys.executable, "-S", "-c", "import time; time.sleep(1000)")


def printing(text: bytes, status: int = 0) -> tuple[str, ...]:
    code = f"import sys; sys.stdout.buffer.write({text!r}); sys.exit({status})"
    return (sys.executable, "-S", "-c", code)


def made(
    db: Database, *command: str, clock: Clock = time.time, longest_s: float = 60.0
) -> Examinations:
    found = Examinations(db, command=command, clock=clock, longest_s=longest_s)
    found.environ = {"PATH": "/usr/bin:/bin"}
    return found


async def result_of(examinations: Examinations) -> Examination:
    assert await examinations.begin(offline=True)
    await examinations.finished()
    newest = examinations.newest()
    assert newest is not None
    return newest


async def test_findings_are_kept_with_the_problems_first(db: Database) -> None:
    found = await result_of(made(db, *printing(orjson.dumps(FOUND), 1)))
    assert [each.check for each in found.findings] == ["b", "a"]
    assert (found.summary["error"], found.problem, found.left_out) == (1, "", 0)
    assert found.finished_at is not None
    # Another process reads the same.
    assert Examinations(db).newest() == found


async def test_more_findings_than_are_kept_are_counted(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examination, "FINDINGS", 1)
    found = await result_of(made(db, *printing(orjson.dumps(FOUND))))
    assert [each.check for each in found.findings] == ["b"]
    assert found.left_out == 1


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        (printing(b"no json"), "Its output could not be read"),
        (printing(b'{"findings": [{}], "summary": {}}'), "Its output could not be read"),
        (printing(b"", 2), "It ended with status 2"),
        (("/nowhere/pds",), "It cannot be started: No such file or directory"),
    ],
)
async def test_without_findings_it_says_why(
    db: Database, command: tuple[str, ...], problem: str
) -> None:
    found = await result_of(made(db, *command))
    assert (found.problem, list(found.findings)) == (problem, [])


async def test_output_without_end_is_cut_off(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examination, "_OUTPUT_BYTES", 100_000)
    found = await result_of(made(db, *ENDLESS))
    assert found.problem.startswith("It has found more than fits here")


async def test_one_that_takes_too_long_is_ended(db: Database) -> None:
    found = await result_of(made(db, *ASLEEP, longest_s=0.05))
    assert found.problem.startswith("It took more than")


async def test_only_one_runs_at_a_time_also_of_two_processes(
    db: Database, clock: FakeClock
) -> None:
    first, second = (made(db, *ASLEEP, clock=clock) for _ in range(2))
    begun = await asyncio.gather(
        *(each.begin(offline=True) for each in (first, second, first, second))
    )
    assert sum(begun) == 1
    running = first.newest()
    assert running is not None
    assert running.finished_at is None
    await first.close()
    await second.close()
    stopped = first.newest()
    assert stopped is not None
    assert stopped.problem == "It was cut off by a stop of the server."
    assert await first.begin(offline=True)
    await first.close()


async def test_one_that_a_crash_left_behind_does_not_bar_the_next(
    db: Database, clock: FakeClock
) -> None:
    crashed = made(db, *ASLEEP, clock=clock)
    assert await crashed.begin(offline=True)
    clock.now_s += 3600
    examinations = made(db, *printing(orjson.dumps(FOUND)), clock=clock)
    left = examinations.newest()
    assert left is not None
    assert left.problem.startswith("It was cut off")
    assert (await result_of(examinations)).problem == ""
    await crashed.close()
    # What became of the one before does not replace the newer result.
    newest = examinations.newest()
    assert newest is not None
    assert newest.problem == ""


async def test_without_the_settings_of_a_server_nothing_is_started(db: Database) -> None:
    examinations = Examinations(db, command=("/nowhere/pds",))
    assert not await examinations.begin(offline=True)
    assert examinations.newest() is None
