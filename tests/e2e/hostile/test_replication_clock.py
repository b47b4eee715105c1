"""A clock that jumps by days, forwards and back: replication goes on, and keeps its lease."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.forked import Zygote
from tests.e2e.replicated import LEFT_TO_LITESTREAM, Replicated, check_restored, write_with_blob
from tests.e2e.soak import at_length_only
from tests.e2e.world import World

pytestmark = at_length_only

DAY_S = 24 * 60 * 60


def set_clock(file: Path, days: float) -> None:
    """Let the clock be wrong from now on."""
    new = file.with_suffix(".new")
    new.write_text(str(days * DAY_S))
    new.replace(file)


@pytest.mark.timeout(300)
async def test_a_clock_that_jumps(world: World, forking: Zygote, tmp_path: Path) -> None:
    clock = tmp_path / "clock"
    set_clock(clock, 0)
    world.start(**LEFT_TO_LITESTREAM)
    replicated = Replicated.in_directory(world, forking, tmp_path / "replica")
    try:
        replicated.start_by("tests.e2e.shifted_clock", str(clock))
        await replicated.until_all_is_copied()
        for days in (3, -2, 0):
            set_clock(clock, days)
            await world.create(world.alice, f"at-{days}")
            await write_with_blob(world, world.bob, f"picture-at-{days}", f"at {days}".encode())
            await replicated.until_all_is_copied()
        # What the ledger has is of the future now, as after a start before the clock was set.
        set_clock(clock, 3)
        await world.create(world.alice, "in-the-future")
        await replicated.until_all_is_copied()
        replicated.kill()
        await world.create(world.alice, "between")
        replicated.start()
        await world.create(world.alice, "after")
        await replicated.until_all_is_copied()
        await check_restored(replicated)
    finally:
        replicated.kill()
    assert "replicates to this place" not in replicated.log()
