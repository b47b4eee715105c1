"""What a promotion makes of the copies, and what the new server then tells consumers."""

from __future__ import annotations

import os
import sqlite3
from contextlib import AsyncExitStack, closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from database.opening import open_database
from pds.disk.data_directory import STANDBY_FILE
from pds.replication.replica.file_place import FilePlace
from pds.replication.restore.target import LEDGER, SEQUENCER, RestoreTarget
from pds.replication.standby.following import Standby
from pds.replication.standby.promotion import own_files
from pds.replication.standby.state import Copied, StandbyState
from repo.cid import Cid
from tests.pds.conftest import Account, start_pds
from tests.pds.events import kinds_of, read_events
from tests.pds.replication.small_server import SmallServer, did_of

LONG_AGO = "2020-01-01T00:00:00.000Z"


@pytest.fixture
async def stopped(tmp_path: Path) -> tuple[Path, list[Account]]:
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
    return data, accounts


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


async def test_a_damaged_blob_that_only_a_promotion_finds_is_told(tmp_path: Path) -> None:
    """One whose copy the ledger did not have yet when the primary ended."""
    did, cid = did_of(0), str(Cid.of_raw(b"a picture"))
    server = SmallServer.make(tmp_path / "standby", 1)
    with closing(sqlite3.connect(server.layout.store(did))) as db, db:
        db.execute(
            "INSERT INTO blob (cid, mimeType, size, createdAt) VALUES (?, 'image/png', 9, ?)",
            (cid, LONG_AGO),
        )
    blob = tmp_path / "replica/blobs" / did / cid
    blob.parent.mkdir(parents=True)
    blob.write_bytes(b"no matter")
    target = RestoreTarget.within(server.directory)
    assert target.blobs is not None
    with closing(StandbyState.open(tmp_path / STANDBY_FILE)) as state:
        standby = Standby(FilePlace(tmp_path / "replica"), target, state, opener=None)
        with closing(standby), capture_logs() as logs:
            await standby._find_blobs({did}, target.blobs)
    assert [(line["did"], line["reason"]) for line in logs] == [
        (did, f"{cid}: its bytes do not fit its name")
    ]
