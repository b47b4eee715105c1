"""Compaction of actors: while closed, one at a time with their syncs, and mended where damaged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from database.errors import DatabaseBusy
from pds.replication.compacting.compactions import MANY_FILES, Compactions
from pds.replication.replica import names
from pds.replication.replica.file_place import FilePlace
from pds.replication.replica.place import StoredFile
from tests.pds.replication.engine import Engine, engine
from tests.pds.replication.small_server import SmallServer, did_of

DID = did_of(1)


@pytest.fixture
def server(tmp_path: Path) -> SmallServer:
    return SmallServer.make(tmp_path / "data", accounts=3)


class StuckPlace(FilePlace):
    """A replica whose listings of one actor never end."""

    under_way = 0

    async def list(self, prefix: str = "") -> AsyncIterator[StoredFile]:
        self.under_way += 1
        try:
            if prefix.startswith(names.actor_database(did_of(2))):
                await asyncio.Event().wait()
            async for file in super().list(prefix):
                yield file
        finally:
            self.under_way -= 1


@asynccontextmanager
async def compactions(made: Engine, place: FilePlace | None = None) -> AsyncIterator[Compactions]:
    made.replica.mkdir(exist_ok=True)
    place = place or FilePlace(made.replica)
    yield Compactions(
        ledger=made.ledger,
        place=place,
        opened=made.opened,
        queue=made.queue,
        retention_s=7 * 86_400.0,
        may_write=lambda: True,
    )
    await place.close()


async def write_often(made: Engine, times: int) -> list[str]:
    """Make as many files in the replica; return all values written."""
    await made.watcher.sweep_once()
    made.start()
    await made.until_clean()
    values = [f"value {number}" for number in range(times)]
    for value in values:
        before = made.row(DID).txid
        made.server.write(DID, value)
        await made.until(lambda before=before: made.row(DID).txid > before)  # type: ignore[misc]
        await made.opened.close(DID)
    await made.until_clean()
    return [f'"{value}"' for value in values]


def level(made: Engine, number: int) -> int:
    """How many files of a level the replica has."""
    directory = made.replica / names.actor_database(DID) / "ltx" / str(number)
    return len(list(directory.iterdir())) if directory.is_dir() else 0


async def test_many_files_become_few_and_all_is_there(server: SmallServer) -> None:
    async with engine(server, hot_set=2) as made, compactions(made) as compacting:
        values = await write_often(made, MANY_FILES)
        assert made.row(DID).uncompacted >= MANY_FILES
        assert await compacting.compact_some()
        assert (compacting.done, compacting.error) == (1, None)
        row = made.row(DID)
        assert row.uncompacted == 0
        assert row.compact_at_ms is not None
        assert level(made, 1) > 0 or level(made, 9) > 0
        assert made.values(DID) == values
        made.server.write(DID, "after")
        await made.until(lambda: made.row(DID).txid > row.txid)
        await made.until_clean()
        assert made.values(DID) == [*values, '"after"']
        assert not await compacting.compact_some()


async def test_one_that_is_open_waits(server: SmallServer) -> None:
    async with engine(server, hot_set=2) as made, compactions(made) as compacting:
        await write_often(made, 1)
        made.ledger.db.run("UPDATE actor SET uncompacted = ? WHERE did = ?", (MANY_FILES, DID))
        for _ in range(2):
            syncs = made.actors.syncs
            server.tell(DID)
            await made.until(lambda syncs=syncs: made.actors.syncs > syncs)  # type: ignore[misc]
        await made.until_clean()
        assert not await compacting.compact_some()
        assert DID in made.hot
        # One that never rests is closed for it.
        made.ledger.db.run("UPDATE actor SET uncompacted = ? WHERE did = ?", (999, DID))
        assert await compacting.compact_some()
        assert DID not in made.hot


async def test_a_ledger_that_fails_leaves_no_compaction_under_way(
    server: SmallServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: object) -> None:
        raise DatabaseBusy(Path("replication.sqlite"), "locked")

    async with engine(server, hot_set=2) as made:
        place = StuckPlace(made.replica)
        async with compactions(made, place) as compacting:
            await write_often(made, 1)
            made.ledger.db.run("UPDATE actor SET uncompacted = ?", (MANY_FILES,))
            with monkeypatch.context() as patches:
                patches.setattr(made.ledger, "write", fail)
                with pytest.raises(DatabaseBusy):
                    await compacting.compact_some()
            assert place.under_way == 0


async def test_a_replica_that_lost_the_newest_state_gets_all_of_it_again(
    server: SmallServer,
) -> None:
    async with engine(server, hot_set=2) as made, compactions(made) as compacting:
        values = await write_often(made, 1)
        for value in ("one", "two"):
            before = made.row(DID).txid
            server.write(DID, value)
            await made.until(lambda before=before: made.row(DID).txid > before)  # type: ignore[misc]
            values.append(f'"{value}"')
        await made.until_clean()
        await made.opened.close(DID)
        files = sorted((made.replica / names.actor_database(DID) / "ltx" / "0").iterdir())
        for path in files[:-1]:
            path.unlink()
        made.ledger.db.run("UPDATE actor SET uncompacted = ? WHERE did = ?", (MANY_FILES, DID))
        txid = made.row(DID).txid
        assert await compacting.compact_some()
        assert compacting.error is not None
        await made.until(lambda: made.row(DID).txid > txid)
        await made.until_clean()
        # The next one makes a snapshot of what has come since.
        assert made.row(DID).compact_at_ms is not None
        await made.opened.close(DID)
        made.ledger.db.run("UPDATE actor SET compactAtMs = 1 WHERE did = ?", (DID,))
        assert await compacting.compact_some()
        assert compacting.error is None
        assert made.values(DID) == values
