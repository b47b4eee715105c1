"""Counts after crashes: at most the last second is lost, and nothing is counted twice."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pds.hold.hold import HOLD, Hold
from pds.hold.records import STATS, stats_rkey
from pds.hold.stats import writer as stats_writer
from pds.hold.stats.journal import Pair, Staged, was_committed
from pds.hold.stats.stats import Stats
from pds.hold.stats_record import Totals
from pds.repos.commits import commit
from tests.pds.conftest import start_pds
from tests.pds.hold.conftest import HOLD_ENVIRON
from tests.pds.hold.stats.counting_child import OWNER, STEPS
from tests.processes import clean_environment

ROOT: Final = Path(__file__).resolve().parents[4]
REPOSITORIES: Final = ("a", "b", "c")


class Crashed(BaseException):
    """The process ends here."""


async def crash_before(*_: Any) -> None:
    raise Crashed


async def crash_after(*args: Any) -> None:
    await commit(*args)
    raise Crashed


class Counting:
    """Stats, and what they have to say: counts survive unless they were in memory alone."""

    def __init__(self, hold: Hold, owner: str) -> None:
        self.hold = hold
        self.owner = owner
        self.safe: Counter[str] = Counter()
        self.in_memory: Counter[str] = Counter()
        self.begin()

    def begin(self) -> None:
        index = self.hold.index
        self.stats = Stats(self.hold.ctx, self.hold.did, self.hold.db, index, interval_s=60)

    def count(self, repository: str, times: int) -> None:
        for number in range(times):
            method = self.stats.count_push if number % 2 else self.stats.count_pull
            method(self.owner, repository)
        self.in_memory[repository] += times

    async def journal(self) -> None:
        await self.stats.write_journal()
        self._keep()

    async def write(self) -> None:
        await self.stats.write_records()
        self._keep()

    async def crash(self) -> None:
        self.in_memory.clear()
        self.begin()

    async def crash_in(self, broken: Callable[..., Awaitable[None]]) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(stats_writer, "commit", broken)
            try:
                await self.stats.write_records()
            except Crashed:
                self._keep()
        await self.crash()

    def _keep(self) -> None:
        self.safe += self.in_memory
        self.in_memory.clear()

    async def check(self) -> None:
        for repository in REPOSITORIES:
            totals = await self.stats.of(self.owner, repository)
            known = self.safe[repository] + self.in_memory[repository]
            assert totals.pulls + totals.pushes == known


STEP: Final = st.one_of(
    st.tuples(st.just("count"), st.sampled_from(REPOSITORIES), st.integers(1, 5)),
    st.sampled_from(["journal", "write", "crash", "crash before", "crash after"]),
)


async def play(counting: Counting, steps: list[Any]) -> None:
    for step in steps:
        match step:
            case ("count", repository, times):
                counting.count(repository, times)
            case "journal":
                await counting.journal()
            case "write":
                await counting.write()
            case "crash":
                await counting.crash()
            case "crash before":
                await counting.crash_in(crash_before)
            case "crash after":
                await counting.crash_in(crash_after)
            case _:
                raise AssertionError(step)
    # What is staged may be in the record already: the next writing or start settles that.
    await counting.write()
    await counting.check()


def test_whatever_happens_counts_are_neither_lost_nor_doubled(tmp_path: Path) -> None:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        pds = runner.run(start_pds(stack, tmp_path, HOLD_ENVIRON))
        numbers = itertools.count()

        @settings(max_examples=100)
        @given(st.lists(STEP, max_size=20))
        def hold_true(steps: list[Any]) -> None:
            owner = f"did:web:owner{next(numbers)}.test"
            runner.run(play(Counting(pds.app[HOLD], owner), steps))

        hold_true()
        assert next(numbers) > 50
        runner.run(stack.aclose())


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What processes have left that were killed, in a directory for each step."""
    directory = tmp_path_factory.mktemp("killed")
    done = subprocess.run(  # noqa: S603 (processes of our own)
        [sys.executable, "-m", "tests.pds.hold.stats.counting_child", str(directory)],
        env=clean_environment({"PYTHONPATH": str(ROOT)}),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return directory


@pytest.mark.parametrize("step", STEPS)
async def test_a_process_that_is_killed_loses_only_what_was_in_memory(
    killed: Path, step: str
) -> None:
    expected = STEPS[step][1]
    async with AsyncExitStack() as stack:
        pds = await start_pds(stack, killed / step, HOLD_ENVIRON)
        hold = pds.app[HOLD]
        assert (await hold.stats.of(OWNER, "myapp")).pulls == expected
        for _ in range(2):
            await hold.stats.write_records()
            reply = await pds.get(
                "com.atproto.repo.getRecord",
                repo=hold.did,
                collection=STATS,
                rkey=stats_rkey(OWNER, "myapp"),
            )
            assert reply.json["value"]["pullCount"] == expected
        assert (await hold.stats.of(OWNER, "myapp")).pulls == expected


def staged(rkey: str, previous: str | None) -> Staged:
    return Staged(Pair(OWNER, rkey), rkey, f"new {rkey}", previous, Totals(1), Totals(2))


@pytest.mark.parametrize(
    ("current", "committed"),
    [
        ({"a": "new a", "b": "new b"}, True),
        ({"a": "old a", "b": None}, False),
        ({"a": "by hand", "b": "new b"}, True),
        ({"a": "by hand", "b": None}, False),
        ({"a": None, "b": None}, False),
        ({"a": "by hand", "b": "by hand"}, True),
    ],
)
def test_the_records_tell_whether_the_commit_was_made(
    current: dict[str, str | None], committed: bool
) -> None:
    rows = [staged("a", "old a"), staged("b", None)]
    assert was_committed(rows, current) is committed
