"""What a promotion makes of the copies, and what the new server then tells consumers."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing
from pathlib import Path

import pytest

from database.opening import open_database
from pds.disk.data_directory import STANDBY_FILE
from pds.replication.restore.target import LEDGER, SEQUENCER, RestoreTarget
from pds.replication.standby.promotion import own_files
from pds.replication.standby.state import Copied, StandbyState
from tests.pds.conftest import Account, start_pds
from tests.pds.events import kinds_of, read_events

LONG_AGO = "2020-01-01T00:00:00.000Z"


@pytest.fixture
async def stopped(tmp_path: Path) -> AsyncIterator[tuple[Path, list[Account]]]:
    """The files of a server that was stopped in order, with an account that is long idle."""
    data = tmp_path / "data"
    data.mkdir()
    async with AsyncExitStack() as stack:
        pds = await start_pds(stack, data, {})
        accounts = [await pds.create_account(name) for name in ("idle", "busy")]
        idle = accounts[0].did
        store = pds.ctx.actor_store.layout.store(idle)
    (data / "holdfast.run").unlink()
    with closing(open_database(data / SEQUENCER)) as db:
        db.run("UPDATE repo_seq SET sequencedAt = ? WHERE did = ?", (LONG_AGO, idle))
    os.utime(store, (1, 1))
    yield data, accounts


async def test_every_account_gets_a_sync_although_the_copy_is_of_an_orderly_stop(
    stopped: tuple[Path, list[Account]],
) -> None:
    """The old server may have gone on since, out of reach of its replica."""
    data, accounts = stopped
    with closing(StandbyState.open(data / STANDBY_FILE)) as state:
        own_files(RestoreTarget.within(data), state)
    async with AsyncExitStack() as stack:
        pds = await start_pds(stack, data, {})
        newest = read_events(pds)[-2:]
        assert kinds_of(newest) == ["sync", "sync"]
        assert {event.did for event in newest} == {account.did for account in accounts}


def test_files_that_were_written_to_are_copied_anew_by_a_second_promotion(tmp_path: Path) -> None:
    with closing(StandbyState.open(tmp_path / STANDBY_FILE)) as state:
        for name in (LEDGER, SEQUENCER, "account.sqlite"):
            state.put(name, Copied(7, 0))
        own_files(RestoreTarget.within(tmp_path), state)
        known = [state.find(name) for name in (LEDGER, SEQUENCER, "account.sqlite")]
    assert known == [None, None, Copied(7, 0)]
