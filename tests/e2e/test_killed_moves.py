"""A server that is killed in each step of a move, and started again: the move is completed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.e2e.forked import Zygote
from tests.e2e.moves import Pages, two_hosts

IN = (
    *("move-begun", "store-created", "rows-created"),
    *("import-spooled", "import-loaded", "import-committed", "move-imported-in"),
    *("upload-written", "blob-permanent", "move-blob-in", "move-preferences-in"),
    *("move-code-in", "plc-sent", "activated-row", "move-activated-in"),
    *("move-left-in", "move-session-kept"),
)
"""Where the server that takes the account in is ended, in the order of the steps."""
OUT = (
    *("move-begun", "move-imported-out", "move-blob-out", "move-preferences-out"),
    *("move-code-out", "move-pointed-out", "move-activated-out"),
    *("deactivated-row", "move-left-out", "move-session-kept"),
)
"""The same for the server that the account leaves."""
_ENDED_S = 10.0


@pytest.mark.parametrize("is_in", [True, False], ids=["in", "out"])
async def test_a_move_is_completed_although_the_server_is_killed_in_each_step(
    forking: Zygote, tmp_path: Path, is_in: bool
) -> None:
    async with two_hosts(forking, tmp_path, plc_at_old=is_in) as two:
        other, here = (two.old, two.new) if is_in else (two.new, two.old)
        other.start()
        here.start()
        mover = await two.join()
        pages = Pages(two, mover, is_in)
        here.server.stop()
        for point in IN if is_in else OUT:
            here.start(fault=point)
            await pages.go_on()
            assert here.server.wait_ended(10), f"{point} was not reached"
        here.start()
        await pages.go_on()
        assert here.step_of(mover.did) == "done"
        async with asyncio.timeout(_ENDED_S):
            # The person's own at the old server stays.
            while other.sessions(mover.did) != is_in:  # noqa: ASYNC110 (another process's)
                await asyncio.sleep(0.05)
        await two.check_moved(mover)
        assert len(await other.plc_log(mover.did)) == 2, "the DID was changed once"
        assert two.new.events(mover.did).count("account") == 1, "it is told of once"
        assert two.old.events(mover.did).count("account") == 2, "when it came, and when it left"
