"""Answers and events that wait for the disk, and what happens when it fails."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from actor_store.blob_store.base import BlobFileMissing
from database.connection import Database, SqlValue
from pds.server.failed_sync import end_after_failed_sync
from repo.cid import Cid
from tests.pds.api.blobs import uploaded
from tests.pds.api.firehose import Message, subscribed
from tests.pds.api.records import create as create_record
from tests.pds.conftest import Account, Pds, Reply
from tests.syncs import Disk


async def log_in(pds: Pds, alice: Account) -> Reply:
    body = {"identifier": alice.handle, "password": alice.password}
    return await pds.post("com.atproto.server.createSession", body)


async def create(pds: Pds, account: Account) -> Reply:
    note = {"$type": "com.example.note", "text": "hello"}
    return await create_record(pds, account, note, collection="com.example.note", validate=False)


async def set_preferences(pds: Pds, alice: Account) -> Reply:
    body: dict[str, object] = {"preferences": []}
    return await pds.post("app.bsky.actor.putPreferences", body, alice.auth)


async def upload(pds: Pds, alice: Account) -> Reply:
    return await pds.upload(alice, b"\x89PNG\r\n\x1a\n")


async def deactivate(pds: Pds, alice: Account) -> Reply:
    return await pds.post("com.atproto.server.deactivateAccount", {}, alice.auth)


def did_of(message: Message) -> object:
    return message.body["repo"]


async def begun(disk: Disk, name: str) -> None:
    async with asyncio.timeout(10):
        while not disk.begun[name]:  # noqa: ASYNC110 (a thread counts)
            await asyncio.sleep(0.001)


@pytest.mark.parametrize(
    ("change", "database"),
    [
        (create, "store"),
        (create, "sequencer"),
        (set_preferences, "store"),
        (upload, "store"),
        (log_in, "account"),
        (deactivate, "account"),
        (deactivate, "sequencer"),
    ],
)
async def test_a_change_is_answered_when_every_file_that_it_wrote_is_synced(
    pds: Pds,
    alice: Account,
    disk: Disk,
    change: Callable[[Pds, Account], Awaitable[Reply]],
    database: str,
) -> None:
    let_go = disk.hold(f"{database}.sqlite-wal")
    disk.begun.clear()
    changing = asyncio.ensure_future(change(pds, alice))
    await begun(disk, database)
    # Meanwhile others read, as fast as ever.
    assert (await pds.get("com.atproto.sync.getLatestCommit", did=alice.did)).status in (200, 400)
    assert not changing.done()
    let_go()
    assert (await changing).status == 200


async def test_bytes_are_deleted_when_the_deletion_of_their_record_is_synced(
    pds: Pds, alice: Account, disk: Disk
) -> None:
    """A power failure before that would bring the record back, without its blob."""
    blob = await uploaded(pds, alice)
    note = {"$type": "com.example.note", "blob": blob}
    made = await create_record(pds, alice, note, collection="com.example.note", validate=False)
    rkey = made.json["uri"].rpartition("/")[2]
    let_go = disk.hold("store.sqlite-wal")
    disk.begun.clear()
    body = {"repo": alice.did, "collection": "com.example.note", "rkey": rkey}
    deleting = asyncio.ensure_future(pds.post("com.atproto.repo.deleteRecord", body, alice.auth))
    await begun(disk, "store")
    await asyncio.sleep(0.05)
    opened = await pds.ctx.blob_store.open(alice.did, Cid.parse(blob["ref"]["$link"]))
    await opened.close()
    let_go()
    assert (await deleting).status == 200
    await pds.ctx.actor_store.blob_files.settle()
    with pytest.raises(BlobFileMissing):
        await pds.ctx.blob_store.open(alice.did, Cid.parse(blob["ref"]["$link"]))


@pytest.mark.parametrize("database", ["store", "sequencer"])
async def test_subscribers_see_an_event_when_it_and_its_commit_are_synced(
    pds: Pds, alice: Account, disk: Disk, database: str
) -> None:
    newest = pds.ctx.sequencer.current_seq
    let_go = disk.hold(f"{database}.sqlite-wal")
    async with subscribed(pds, newest) as live:
        disk.begun.clear()
        changing = asyncio.ensure_future(create(pds, alice))
        await begun(disk, database)
        # It is in the log already, which one that comes now would read.
        assert pds.ctx.sequencer.log.latest_seq() == newest + 1
        async with subscribed(pds, 0) as late:
            assert [message.seq for message in await late.until(newest)][-1] == newest
            assert pds.ctx.sequencer.current_seq == newest
            let_go()
            assert (await late.next()).seq == (await live.next()).seq == newest + 1
    assert (await changing).status == 200


async def test_events_of_others_wait_for_what_came_before_them(
    pds: Pds, alice: Account, bob: Account, disk: Disk
) -> None:
    newest = pds.ctx.sequencer.current_seq
    let_go = disk.hold(alice.did)
    async with subscribed(pds, newest) as consumer:
        changing = [asyncio.ensure_future(create(pds, who)) for who in (alice, bob)]
        await begun(disk, "sequencer")
        let_go()
        assert [did_of(message) for message in await consumer.until(newest + 2)] == [
            alice.did,
            bob.did,
        ]
    assert [(await change).status for change in changing] == [200, 200]


async def test_a_store_that_failed_to_sync_is_kept_back_with_its_event(
    pds: Pds, alice: Account, bob: Account, disk: Disk
) -> None:
    newest = pds.ctx.sequencer.current_seq
    disk.failing = alice.did
    assert (await create(pds, alice)).error == (500, "InternalServerError")
    disk.failing = None
    assert (await create(pds, alice)).error == (503, "RepoUnavailable")
    assert (await create(pds, bob)).status == 200
    for cursor in (0, newest):
        async with subscribed(pds, cursor) as consumer:
            messages = await consumer.until(newest + 2)
            assert [did_of(one) for one in messages if one.seq > newest] == [bob.did]


async def test_a_log_that_failed_to_sync_takes_and_shows_no_more_events(
    pds: Pds, alice: Account, bob: Account, disk: Disk
) -> None:
    newest = pds.ctx.sequencer.current_seq
    disk.failing = "sequencer.sqlite"
    assert (await create(pds, alice)).error == (500, "InternalServerError")
    disk.failing = None
    assert (await create(pds, bob)).error == (500, "InternalServerError")
    assert pds.ctx.sequencer.current_seq == newest
    assert (await pds.get("com.atproto.repo.describeRepo", repo=bob.did)).json["collections"] == []


async def test_a_session_that_failed_to_sync_is_not_given_out(
    pds: Pds, alice: Account, disk: Disk
) -> None:
    disk.failing = "account.sqlite"
    assert (await log_in(pds, alice)).error == (500, "InternalServerError")


async def test_the_server_ends_when_the_disk_fails_under_all_accounts(
    pds: Pds, alice: Account, bob: Account, disk: Disk
) -> None:
    ended: list[Exception] = []
    end_after_failed_sync(pds.ctx, ended.append)
    disk.failing = alice.did
    await create(pds, alice)
    assert ended == []
    disk.failing = "sequencer.sqlite"
    await create(pds, bob)
    assert [type(failure).__name__ for failure in ended] == ["DatabaseUnsynced"]


async def test_every_write_of_a_request_is_one_that_is_waited_for(
    pds: Pds, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only transactions are noted, so no statement may write outside of one."""
    outside: list[str] = []
    run = Database.run

    def checked(db: Database, sql: str, params: Sequence[SqlValue] = ()) -> None:
        alone, before = not db.connection.in_transaction, db.connection.total_changes()
        run(db, sql, params)
        if alone and db.durability.waits and db.connection.total_changes() != before:
            outside.append(sql)

    monkeypatch.setattr(Database, "run", checked)
    for change in (create, set_preferences, upload, log_in, deactivate):
        assert (await change(pds, alice)).status == 200
    assert outside == []
