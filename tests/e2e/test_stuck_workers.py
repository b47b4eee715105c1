"""A worker that hangs in the middle of a write: it is killed, and what it had committed is told."""

from __future__ import annotations

from contextlib import suppress

import pytest

from tests.e2e.promises import BROKEN
from tests.e2e.world import World


# As long as the least time after which a worker counts as stuck.
@pytest.mark.parametrize(("point", "written"), [("store-commit", False), ("store-committed", True)])
async def test_a_worker_that_hangs_in_a_write_is_replaced_and_what_it_committed_is_told(
    world: World, point: str, written: bool
) -> None:
    world.server.workers = 3
    world.start(fault=f"stop:{point}", PDS_WORKER_TIMEOUT="5000")
    await world.watcher.catch_up()
    # With the lock of the account's database, which nobody gets before it is killed.
    with suppress(*BROKEN):
        status, answer = await world.try_to_create(world.alice, "second")
        assert (status, answer["error"]) == (500, "InternalServerError")
    await world.create(world.alice, "third")
    await world.watcher.catch_up()
    await world.watcher.until_listed()
    await world.check(accounts=2)
    expected = {"first", "second", "third"} if written else {"first", "third"}
    assert await world.records(world.alice) == expected
    assert "a worker hangs and is killed" in world.server.log()
