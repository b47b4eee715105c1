"""What the rules of compaction make of a database in the course of weeks."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from pds.replication.ltx.names import SNAPSHOT_LEVEL, LtxFile
from pds.replication.ltx.planning import Plan, plan_restore
from pds.replication.ltx.upkeep import (
    HIGHEST_MERGED,
    PRECISION_MS,
    groups_to_merge,
    is_snapshot_due,
    next_superfluous_ms,
    superfluous,
)
from tests.pds.replication.ltx.made import listed

DAY_MS = 24 * 3600 * 1000
RETENTION_MS = 7 * DAY_MS
START_MS = 20_000 * DAY_MS


@dataclass(slots=True)
class Simulation:
    """A replica of which only names, times and sizes exist."""

    whole_size: int
    """Of all pages of the database, in bytes."""
    files: list[LtxFile] = field(default_factory=list)
    synced: list[tuple[int, int]] = field(default_factory=list)
    """Transactions and their times."""
    synced_size: int = 0
    written_size: int = 0
    read_size: int = 0

    def sync(self, time_ms: int, size: int) -> None:
        txid = len(self.synced) + 1
        size = self.whole_size if txid == 1 else size
        self.files.append(listed(0, txid, txid, time_ms=time_ms, size=size))
        self.synced.append((txid, time_ms))
        self.synced_size += size

    def compact(self, now_ms: int) -> int:
        """Return how many files were deleted."""
        for level in range(HIGHEST_MERGED):
            for group in groups_to_merge(
                self.files, level, now_ms=now_ms, retention_ms=RETENTION_MS
            ):
                self._merge(group, level + 1)
        if is_snapshot_due(self.plan()):
            self._merge(self.plan().files, SNAPSHOT_LEVEL)
        doomed = superfluous(self.files, now_ms=now_ms, retention_ms=RETENTION_MS)
        paths = {file.path for file in doomed}
        self.files = [file for file in self.files if file.path not in paths]
        assert superfluous(self.files, now_ms=now_ms, retention_ms=RETENTION_MS) == []
        return len(doomed)

    def plan(self) -> Plan:
        plan = plan_restore(self.files)
        assert plan is not None
        return plan

    def _merge(self, files: Iterable[LtxFile], level: int) -> None:
        files = list(files)
        size = sum(file.size for file in files)
        self.read_size += size
        size = min(size, self.whole_size)
        self.written_size += size
        first, last = files[0].name.first, files[-1].name.last
        self.files.append(listed(level, first, last, time_ms=files[-1].time_ms, size=size))

    def assert_restorable(self, now_ms: int) -> None:
        """Every state that is promised can be restored."""
        plan = self.plan()
        newest = self.synced[-1][0]
        assert (plan.last, plan.missing) == (newest, None)
        assert any((f.name.level, f.name.last) == (0, newest) for f in self.files)
        exact = range(now_ms - PRECISION_MS + 1, now_ms + 1, 7 * 60 * 1000)
        hours = range(
            (now_ms - RETENTION_MS) // PRECISION_MS * PRECISION_MS + PRECISION_MS,
            now_ms,
            PRECISION_MS * 5,
        )
        for time_ms in (*exact, *hours):
            wanted = [txid for txid, synced_ms in self.synced if synced_ms < time_ms]
            found = plan_restore(self.files, before_ms=time_ms)
            assert (found.last if found else None) == (wanted[-1] if wanted else None)


@pytest.mark.parametrize("every_minutes", [1, 20, 300])
@pytest.mark.parametrize("whole_size", [50_000, 5_000_000_000])
def test_states_within_the_retention_can_be_restored_for_weeks(
    every_minutes: int, whole_size: int
) -> None:
    dice = random.Random(every_minutes)
    sim = Simulation(whole_size)
    now_ms = START_MS
    days = 3 if every_minutes == 1 else 20
    while now_ms < START_MS + days * DAY_MS:
        for _ in range(dice.randrange(1, 60)):
            now_ms += int(dice.expovariate(1 / (every_minutes * 60_000)))
            sim.sync(now_ms, dice.randrange(2_000, 20_000))
        now_ms += dice.randrange(0, 600_000)
        sim.compact(now_ms)
        sim.assert_restorable(now_ms)


def test_a_busy_small_account_costs_little() -> None:
    """500 syncs a day for a month: each byte is written again about twice."""
    dice = random.Random(1)
    sim = Simulation(80_000)
    now_ms = START_MS
    for _ in range(30 * 10):
        for _ in range(50):
            sim.sync(now_ms, dice.randrange(3_000, 12_000))
            now_ms += DAY_MS // 500
        sim.compact(now_ms)
        assert len(sim.plan().files) < 60
    assert sim.written_size < 3 * sim.synced_size
    assert sim.read_size < 4 * sim.synced_size
    assert len(sim.files) < 24 * 8 + 100
    # The increments of eight days at most, once, and a snapshot for each day.
    assert sum(file.size for file in sim.files) < sim.synced_size * 9 / 30 + 10 * 80_000


def test_a_large_account_is_not_written_again_for_small_changes() -> None:
    dice = random.Random(1)
    sim = Simulation(1_000_000_000)
    now_ms = START_MS
    for _ in range(60):
        for _ in range(100):
            sim.sync(now_ms, dice.randrange(3_000, 12_000))
            now_ms += DAY_MS // 100
        sim.compact(now_ms)
        assert len(sim.plan().files) < 150
    assert sim.written_size < 4 * sim.synced_size
    assert not [file for file in sim.files if file.name.level == SNAPSHOT_LEVEL]
    assert len(sim.files) < 500


def test_an_idle_account_shrinks_to_two_files_when_it_is_told() -> None:
    sim = Simulation(50_000)
    for n in range(200):
        sim.sync(START_MS + n * 600_000, 5_000)
    now_ms = sim.synced[-1][1]
    due_ms: int | None = now_ms
    calls = 0
    while due_ms is not None:
        now_ms = due_ms
        deleted = sim.compact(now_ms)
        assert deleted or not calls
        sim.assert_restorable(now_ms)
        due_ms = next_superfluous_ms(sim.files, now_ms=now_ms, retention_ms=RETENTION_MS)
        calls += 1
    assert now_ms < sim.synced[-1][1] + RETENTION_MS + 2 * PRECISION_MS
    assert len(sim.files) == 2
    assert calls < 60


def test_a_clock_that_was_put_back_loses_nothing() -> None:
    sim = Simulation(50_000)
    dice = random.Random(3)
    now_ms = START_MS
    for _ in range(100):
        for _ in range(20):
            sim.sync(now_ms, 5_000)
            now_ms += dice.randrange(-40 * 60_000, 60 * 60_000)
        sim.compact(now_ms)
        assert (sim.plan().last, sim.plan().missing) == (len(sim.synced), None)


def test_merged_files_go_on_where_the_last_one_ends() -> None:
    dice = random.Random(4)
    sim = Simulation(500_000_000)
    now_ms = START_MS
    for _ in range(100):
        for _ in range(40):
            sim.sync(now_ms, 5_000)
            now_ms += dice.randrange(60 * 60_000)
        sim.compact(now_ms)
        for level in range(1, HIGHEST_MERGED + 1):
            merged = sorted(f.name for f in sim.files if f.name.level == level)
            for before, name in pairwise(merged):
                assert name.first == before.last + 1
