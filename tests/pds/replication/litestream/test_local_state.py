"""Litestream's files beside a database: what may go, and what must stay."""

from __future__ import annotations

from pathlib import Path

from pds.replication.litestream.local_state import prune, reset, state_directory
from tests.pds.replication.litestream.daemons import add, make_database, restored, running


async def test_pruned_files_are_not_missed(tmp_path: Path) -> None:
    database = make_database(tmp_path / "db.sqlite")
    url = f"file://{tmp_path / 'replica'}"
    async with running() as daemon:
        await daemon.client.register(database, url)
        for number in range(1, 5):
            add(database, number)
            await daemon.client.sync(database)
        txid = 4
        # While it is registered, and when it comes back.
        assert prune(database, before_txid=txid - 1) == 2
        add(database, 5)
        await daemon.client.sync(database)
        await daemon.client.unregister(database)
        assert prune(database, before_txid=1000) == 2
        files = list((state_directory(database) / "ltx" / "0").iterdir())
        assert len(files) == 1
        add(database, 6)
        await daemon.client.register(database, url)
        synced = await daemon.client.sync(database)
    assert synced.txid == txid + 2
    assert restored(url, tmp_path) == [0, 1, 2, 3, 4, 5, 6]


async def test_a_database_without_its_local_state_goes_on_with_its_replica(
    tmp_path: Path,
) -> None:
    database = make_database(tmp_path / "db.sqlite")
    url = f"file://{tmp_path / 'replica'}"
    async with running() as daemon:
        await daemon.client.register(database, url)
        first = await daemon.client.sync(database)
        await daemon.client.unregister(database)
        reset(database)
        add(database, 1)
        await daemon.client.register(database, url)
        second = await daemon.client.sync(database)
    assert second.replicated_txid > first.replicated_txid
    assert restored(url, tmp_path) == [0, 1]


def test_where_there_is_nothing_nothing_happens(tmp_path: Path) -> None:
    database = tmp_path / "db.sqlite"
    reset(database)
    assert prune(database, before_txid=5) == 0
    odd = state_directory(database) / "ltx" / "0"
    odd.mkdir(parents=True)
    (odd / "words.ltx").touch()
    (odd / "0000000000000001-0000000000000001.ltx.tmp").touch()
    assert prune(database, before_txid=5) == 0
    assert len(list(odd.iterdir())) == 2
