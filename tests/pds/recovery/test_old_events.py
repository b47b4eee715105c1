"""Starts on a log whose old events were deleted: it is as if they were still there."""

from __future__ import annotations

from contextlib import AsyncExitStack, closing
from pathlib import Path

from database.opening import open_database
from pds.doctor.event_log import find_last_rev, read_event_log
from pds.lifecycle.states import deactivate
from repo.syntax import Did
from tests.pds.conftest import Pds, start_pds
from tests.pds.events import kinds_of, read_events
from tests.pds.metrics.scrape import scrape
from tests.pds.recovery.test_start import mark_as_crashed

DAY = {"PDS_EVENT_RETENTION_DAYS": "1"}


async def test_a_crash_is_recovered_from_without_events_for_what_is_known(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        pds = await start_pds(stack, tmp_path, DAY)
        alice, bob = await pds.create_account("alice"), await pds.create_account("bob")
        await pds.create_record(alice, "com.example.note", {"text": "old"})
        await deactivate(pds.ctx, Did(bob.did))
        assert await delete_old_events(pds) == 9
        await pds.create_account("carol")
        mark_as_crashed(pds)
    async with AsyncExitStack() as stack:
        pds = await start_pds(stack, tmp_path, DAY)
        assert pds.ctx.event_log.run.was_unclean
        assert kinds_of(read_events(pds)) == ["account", "identity", "account", "append", "sync"]


async def test_a_commit_that_the_store_has_lost_is_missed(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        pds = await start_pds(stack, tmp_path, DAY)
        alice = await pds.create_account("alice")
        store = pds.ctx.actor_store.layout.store(alice.did)
    older = store.read_bytes()
    async with AsyncExitStack() as stack:
        pds = await start_pds(stack, tmp_path, DAY)
        await pds.create_record(alice, "com.example.note", {"text": "lost"})
        lost_rev = pds.ctx.sequencer.log.last_rev_of(alice.did)
        await pds.create_account("bob")
        assert await delete_old_events(pds) == 8
        mark_as_crashed(pds)
    store.write_bytes(older)
    async with AsyncExitStack() as stack:
        pds = await start_pds(stack, tmp_path, DAY)
        event = read_events(pds)[-1]
        assert (event.did, event.kind) == (alice.did, "sync")
        assert lost_rev is not None
        assert event.body["rev"] > lost_rev


async def test_doctor_finds_stores_and_log_in_agreement(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        pds = await start_pds(stack, tmp_path, DAY)
        alice = await pds.create_account("alice")
        await pds.create_account("bob")
        await delete_old_events(pds)
        rev = pds.ctx.sequencer.log.last_rev_of(alice.did)
    path = tmp_path / "sequencer.sqlite"
    log = read_event_log(path, lambda done, total: None)
    assert log.events == 1
    assert log.revs[alice.did] == rev
    with closing(open_database(path, read_only=True)) as db:
        assert find_last_rev(db, alice.did) == rev


async def delete_old_events(pds: Pds) -> int:
    """Let all events be older than a day, and delete what retention would."""
    with closing(open_database(pds.ctx.settings.sequencer_db_path)) as db:
        db.run("UPDATE repo_seq SET sequencedAt = '2026-01-01T00:00:00.000Z'")
    assert pds.ctx.retention is not None
    deleted = await pds.ctx.retention.sweep()
    assert (await scrape(pds))["events_deleted_total"] == deleted
    return deleted
