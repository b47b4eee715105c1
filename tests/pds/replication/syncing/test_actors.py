"""Actors reach the replica, whatever happens to them, to the daemon and to the place."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from pds.replication.errors import LitestreamFailed
from pds.replication.ledger.rows import DirtyActor
from pds.replication.litestream.local_state import state_directory
from tests.pds.replication.engine import Engine, engine
from tests.pds.replication.small_server import SmallServer, did_of


@pytest.fixture
def server(tmp_path: Path) -> SmallServer:
    return SmallServer.make(tmp_path / "data", accounts=30)


async def test_everything_that_is_there_reaches_the_replica(server: SmallServer) -> None:
    server.write(did_of(3), "before", event=False)
    async with engine(server) as made:
        await made.watcher.sweep_once()
        made.start()
        await made.until_clean()
        assert made.ledger.actors.counts().rows == 30
        assert all(made.row(did).txid > 0 for did in server.dids)
        assert made.values(did_of(3)) == ['"before"']
        assert len(made.hot) <= 10 + 4


async def test_a_change_with_an_event_follows(server: SmallServer) -> None:
    async with engine(server) as made:
        await synced_once(made)
        server.write(did_of(1), "first")
        await made.until(lambda: made.row(did_of(1)).txid > 1 and made.watcher.events == 1)
        await made.until_clean()
        assert made.values(did_of(1)) == ['"first"']


async def test_a_change_without_an_event_is_found_by_the_sweep(server: SmallServer) -> None:
    async with engine(server, idle_s=0.0) as made:
        await synced_once(made)
        await made.until(lambda: len(made.hot) == 0)
        server.write(did_of(2), "quietly", event=False)
        await made.watcher.sweep_once()
        assert made.ledger.actors.counts().dirty >= 1
        await made.until_clean()
        assert made.values(did_of(2)) == ['"quietly"']


async def test_an_idle_server_comes_to_rest(server: SmallServer) -> None:
    for did in server.dids:
        server.write(did, "x", event=False)
    async with engine(server, idle_s=0.0) as made:
        await synced_once(made)
        for _ in range(4):
            await made.until(lambda: len(made.hot) == 0)
            await made.watcher.sweep_once()
            await made.until_clean()
        await made.until(lambda: len(made.hot) == 0)
        txids, syncs = [made.row(did).txid for did in server.dids], made.actors.syncs
        await made.watcher.sweep_once()
        assert made.ledger.actors.counts().dirty == 0
        assert made.actors.syncs == syncs
        assert [made.row(did).txid for did in server.dids] == txids


async def test_a_daemon_that_is_killed_is_caught_up(server: SmallServer) -> None:
    async with engine(server) as made:
        await synced_once(made)
        pid = made.daemon.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        server.write(did_of(4), "meanwhile")
        await made.until(lambda: made.daemon.restarts == 1)
        await made.until(lambda: made.row(did_of(4)).txid > 1)
        await made.until_clean()
        assert made.values(did_of(4)) == ['"meanwhile"']


async def test_a_daemon_that_starts_anew_syncs_only_what_changed(server: SmallServer) -> None:
    async with engine(server) as made:
        await synced_once(made)
        for number in range(8):
            server.write(did_of(number), "open")
        await made.until(lambda: made.watcher.events == 8)
        await made.until_clean()
        server.write(did_of(0), "unseen", event=False)
        syncs, pid = made.actors.syncs, made.daemon.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await made.until(lambda: made.daemon.restarts == 1 and made.daemon.pid not in (None, pid))
        await made.until(lambda: made.actors.syncs > syncs)
        await made.until_clean()
        assert made.values(did_of(0)) == ['"open"', '"unseen"']
        assert made.actors.syncs - syncs < 8


async def test_a_deleted_account_leaves_no_directory_and_can_be_made_again(
    server: SmallServer,
) -> None:
    did = did_of(5)
    async with engine(server) as made:
        await synced_once(made)
        server.delete(did)
        server.tell(did)
        await made.until(lambda: made.row(did).deleted_at_ms is not None)
        assert not server.layout.directory(did).exists()
        server.create(did)
        server.write(did, "again")
        await made.until(lambda: made.row(did).deleted_at_ms is None)
        await made.until_clean()
        assert made.values(did) == ['"again"']


async def test_a_lost_store_is_no_deleted_account(server: SmallServer) -> None:
    did = did_of(5)
    async with engine(server) as made:
        await synced_once(made)
        server.layout.store(did).unlink()
        await made.watcher.sweep_once()
        await made.until(lambda: made.row(did).failures > 0)
        row = made.row(did)
        assert row.deleted_at_ms is None
        assert "its key is there" in str(row.last_error)
        assert made.values(did) == []


async def test_an_event_of_an_odd_did_is_passed_over(server: SmallServer) -> None:
    async with engine(server) as made:
        await synced_once(made)
        server.tell("did:odd:../../x", "no did", did_of(1))
        await made.until(lambda: made.watcher.events == 3)
        await made.until_clean()
        assert made.ledger.actors.counts().failing == 0


async def test_a_store_that_is_replaced_while_open_is_sent_whole(server: SmallServer) -> None:
    did, other = did_of(6), did_of(7)
    imported = [f"imported {number}" + "x" * 1_000 for number in range(20)]
    for value in imported:
        server.write(did, value.replace("imported", "replaced"), event=False)
        server.write(other, value, event=False)
    async with engine(server) as made:
        await synced_once(made)
        await stay_open(made, did)
        store = server.layout.store(did)
        for beside in ("-wal", "-shm"):
            store.with_name(store.name + beside).unlink()
        server.layout.store(other).rename(store)
        before = local_files(store)
        server.write(did, "since", event=False)
        # Litestream, which looks each second, takes the new file's WAL for that of the old one.
        await made.until(lambda: local_files(store) > before)
        txid = made.row(did).txid
        server.write(did, "later")
        await made.until(lambda: made.row(did).txid > txid + 1)
        await made.until_clean()
        assert made.values(did) == [f'"{value}"' for value in [*imported, "since", "later"]]


def local_files(store: Path) -> list[str]:
    """The files that Litestream has written for a store and kept."""
    return sorted(path.name for path in (state_directory(store) / "ltx" / "0").iterdir())


async def test_damaged_state_of_litestream_is_made_anew(server: SmallServer) -> None:
    did = did_of(8)
    async with engine(server) as made:
        await synced_once(made)
        await made.opened.close(did)
        for path in (state_directory(server.layout.store(did)) / "ltx" / "0").iterdir():
            path.write_bytes(b"noise")
        server.write(did, "after")
        await made.until(lambda: made.row(did).txid > 1)
        await made.until_clean()
        assert made.values(did) == ['"after"']


async def test_one_that_fails_does_not_hold_up_others(server: SmallServer) -> None:
    bad = did_of(9)
    server.layout.store(bad).write_bytes(b"noise" * 10_000)
    async with engine(server) as made:
        await made.watcher.sweep_once()
        made.start()
        await made.until(lambda: made.ledger.actors.counts().dirty == 1)
        row = made.row(bad)
        assert row.failures >= 1
        assert "not a database" in str(row.last_error)
        assert not made.actors.outage.is_on
        assert made.ledger.actors.failing(limit=5) == [(bad, row.last_error)]


async def stay_open(made: Engine, did: str) -> None:
    """Change an actor until it is taken for one that changes often."""
    while (actor := made.hot.get(did)) is None or actor.syncs < 2:
        syncs = made.actors.syncs
        made.server.tell(did)
        await made.until(lambda syncs=syncs: made.actors.syncs > syncs)  # type: ignore[misc]
    await made.until_clean()


async def test_one_that_fails_unexpectedly_waits_and_does_not_hold_up_others(
    server: SmallServer,
) -> None:
    bad = did_of(9)

    async def copy_key(did: str) -> None:
        if did == bad:
            raise RuntimeError("a fault of ours")

    async with engine(server, copy_key=copy_key) as made:
        await made.watcher.sweep_once()
        made.start()
        await made.until(lambda: made.ledger.actors.counts().dirty == 1)
        assert made.row(bad).failures >= 1
        assert made.row(bad).last_error == "a fault of ours"


async def test_closing_what_a_new_daemon_does_not_know_leaves_it_dirty(
    server: SmallServer,
) -> None:
    did = did_of(10)
    async with engine(server) as made:
        await synced_once(made)
        server.write(did, "with an event")
        await made.until(lambda: did in made.hot)
        await made.until_clean()
        await made.stop()
        # It closes a database in the moment before it is told that the daemon is another one.
        made.daemon.on_restart = None
        assert made.daemon.pid is not None
        os.kill(made.daemon.pid, signal.SIGKILL)
        server.write(did, "quietly", event=False)
        await made.until(lambda: made.daemon.restarts == 1 and made.daemon.state == "running")
        await made.opened.close(did)
        assert made.row(did).dirty_since_ms is not None
        made.start()
        await made.until_clean()
        assert made.values(did) == ['"with an event"', '"quietly"']


async def test_one_whose_closing_is_cut_off_can_be_closed_again(server: SmallServer) -> None:
    did = did_of(11)
    async with engine(server) as made:
        await synced_once(made)
        server.tell(did)
        await made.until(lambda: did in made.hot)
        await made.until_clean()
        await made.stop()
        # Just written to, so that the closing waits for a moment before it asks the daemon.
        server.write(did, "just now", event=False)
        closing = asyncio.create_task(made.opened.close(did))
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.gather(closing, return_exceptions=True)
        await made.opened.close(did)
        assert did not in made.hot


async def test_the_state_of_litestream_is_made_anew_after_every_third_unclear_failure(
    server: SmallServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    anew: list[str] = []

    async def start_anew(did: str) -> None:
        anew.append(did)

    async with engine(server) as made:
        monkeypatch.setattr(made.opened, "start_anew", start_anew)
        for failures in range(6):
            # Failures of an outage may be among those before.
            actor = DirtyActor(f"{failures}", 1, 0, failures, is_urgent=1)
            await made.actors._fail(actor, LitestreamFailed("who knows"))
        assert anew == ["2", "5"]


async def synced_once(made: Engine) -> None:
    """Sync all that is there, and go on."""
    await made.watcher.sweep_once()
    made.start()
    await made.until_clean()
