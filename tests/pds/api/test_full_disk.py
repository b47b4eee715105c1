"""A disk without room: an error that says so, nothing half-written, and then on as before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import pytest

from database.connection import Database
from sequencer.sequencer import Sequencer
from tests.pds.api.exports import export, nothing_changes, signing_key
from tests.pds.api.firehose import Mirror, subscribed
from tests.pds.api.records import NOTE, apply, create, creates, delete, get, put
from tests.pds.conftest import Account, Pds, start_pds
from tests.small_disk import filled, small_disk

FULL = (503, "NotEnoughResources")
LARGE = "x" * 200_000


@contextmanager
def full(db: Database) -> Iterator[None]:
    """Let a database have as many pages as it has now, and no more."""
    db.run(f"PRAGMA max_page_count = {db.value('PRAGMA page_count')}")
    yield
    db.run("PRAGMA max_page_count = 1000000")


def store_of(pds: Pds, account: Account) -> Database:
    """The connection on which the account's repository is written."""
    return pds.ctx.actor_store.open_stores.get(account.did).db


async def check_consistent(pds: Pds, account: Account) -> Mirror:
    """The repository is sound, and its events lead to it."""
    mirror = Mirror(await signing_key(pds, account.did))
    async with subscribed(pds, 0) as consumer:
        for message in await consumer.until(pds.ctx.sequencer.current_seq):
            mirror.follow(message)
    mirror.check(await export(pds, account.did))
    return mirror


async def test_full_repository_refuses_writes_and_keeps_what_it_has(
    pds: Pds, alice: Account
) -> None:
    await create(pds, alice, {"n": 1}, rkey="one")
    with full(store_of(pds, alice)):
        async with nothing_changes(pds, alice):
            for reply in (
                await create(pds, alice, {"x": LARGE}),
                await put(pds, alice, "one", {"x": LARGE}),
                await apply(pds, alice, creates({"n": 2}), creates({"x": LARGE})),
            ):
                assert reply.error == FULL
                assert reply.json["message"] == "The server is out of disk space."
        # Reading goes on.
        assert (await get(pds, alice, "one")).json["value"]["n"] == 1
        await check_consistent(pds, alice)
    assert (await create(pds, alice, {"x": LARGE}, rkey="two")).status == 200
    assert (await delete(pds, alice, "one")).status == 200
    assert list((await check_consistent(pds, alice)).records) == [f"{NOTE}/two"]


async def test_full_repository_is_nobody_elses_trouble(
    pds: Pds, alice: Account, bob: Account
) -> None:
    with full(store_of(pds, alice)):
        assert (await create(pds, alice, {"x": LARGE})).error == FULL
        assert (await create(pds, bob, {"x": LARGE})).status == 200


async def test_upload_that_cannot_be_entered_leaves_no_bytes(pds: Pds, alice: Account) -> None:
    store = store_of(pds, alice)
    blobs = pds.ctx.settings.blob_directory
    assert blobs is not None
    kept = 0
    with full(store):
        # Rows are small: what is free on the pages there are takes some of them.
        while (reply := await pds.upload(alice, b"%d" % kept, "text/plain")).status == 200:
            kept += 1
            assert kept < 2000
        assert reply.error == FULL
        assert len([path for path in blobs.rglob("*") if path.is_file()]) == kept
    reply = await pds.upload(alice, b"%d" % kept, "text/plain")
    assert reply.status == 200
    assert (await create(pds, alice, {"blob": reply.json["blob"]})).status == 200


async def test_blob_of_a_commit_that_fails_can_be_used_later(pds: Pds, alice: Account) -> None:
    blob = (await pds.upload(alice, b"hello", "text/plain")).json["blob"]
    with full(store_of(pds, alice)):
        reply = await create(pds, alice, {"blob": blob, "x": LARGE}, rkey="one")
        assert reply.error == FULL
    params = {"did": alice.did, "cid": blob["ref"]["$link"]}
    assert (await pds.get("com.atproto.sync.getBlob", **params)).error == (400, "InvalidRequest")
    assert (await create(pds, alice, {"blob": blob, "x": LARGE}, rkey="one")).status == 200
    assert (await pds.get("com.atproto.sync.getBlob", **params)).body == b"hello"


async def test_full_log_delays_one_event_and_holds_further_writes_back(
    pds: Pds, alice: Account, bob: Account
) -> None:
    before = pds.ctx.sequencer.current_seq
    with full(pds.ctx.sequencer._db):
        # Too late to refuse: the commit stands, so its caller must not write it again.
        assert (await create(pds, alice, {"x": LARGE}, rkey="one")).status == 200
        assert (await get(pds, alice, "one")).status == 200
        assert pds.ctx.sequencer.current_seq == before
        async with nothing_changes(pds, alice, bob):
            for account in (alice, bob):
                assert (await create(pds, account, {"x": LARGE})).error == FULL
                assert (await delete(pds, account, "one")).error == FULL
    async with subscribed(pds) as consumer:
        assert (await create(pds, alice, {"n": 2}, rkey="two")).status == 200
        late, new = await consumer.take(2)
    assert [message.seq for message in (late, new)] == [before + 1, before + 2]
    assert late.body["ops"][0]["path"] == f"{NOTE}/one"
    await create(pds, bob, {"n": 1})
    mirrors = {a.did: Mirror(await signing_key(pds, a.did)) for a in (alice, bob)}
    async with subscribed(pds, 0) as consumer:
        for message in await consumer.until(pds.ctx.sequencer.current_seq):
            mirrors[message.body.get("repo") or message.body["did"]].follow(message)
    for did, mirror in mirrors.items():
        mirror.check(await export(pds, did))


async def test_stop_with_a_full_log_is_no_orderly_one(tmp_path: Path) -> None:
    """The next start looks for commits without events, as after a crash."""
    async with AsyncExitStack() as stack:
        pds = await start_pds(stack, tmp_path, {})
        alice = await pds.create_account("alice")
        db = pds.ctx.sequencer._db
        db.run(f"PRAGMA max_page_count = {db.value('PRAGMA page_count')}")
        assert (await create(pds, alice, {"x": LARGE})).status == 200
        path = pds.ctx.settings.sequencer_db_path
    reopened = Sequencer(path)
    assert reopened.run.was_unclean
    await reopened.close()


async def test_full_service_database_holds_no_write_up(pds: Pds, alice: Account) -> None:
    """It has but a copy of the heads, which waits until there is room."""
    with full(pds.ctx.accounts.db):
        commit = (await create(pds, alice, {"n": 1})).json["commit"]
        listed = await pds.get("com.atproto.sync.listRepos")
        assert listed.json["repos"][0]["rev"] == commit["rev"]
    await pds.ctx.accounts.repo_roots.flush()
    assert pds.ctx.accounts.repo_roots.find(alice.did) == (commit["cid"], commit["rev"])


# --- a real disk ---


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of four megabytes."""
    with small_disk(tmp_path / "tiny", size_mb=4) as disk:
        yield disk


async def test_full_disk_of_blobs_refuses_uploads(tmp_path: Path, tiny_disk: Path) -> None:
    blobs = tiny_disk / "blobs"
    environ = {"PDS_BLOBSTORE_DISK_LOCATION": str(blobs)}
    async with AsyncExitStack() as stack:
        pds = await start_pds(stack, tmp_path, environ)
        alice = await pds.create_account("alice")
        blob = (await pds.upload(alice, b"hello", "text/plain")).json["blob"]
        files = sorted(path for path in blobs.rglob("*") if path.is_file())
        for room in (0, 300_000):
            with filled(tiny_disk, but_bytes=room):
                reply = await pds.upload(alice, bytes(900_000), "application/octet-stream")
                assert reply.error == FULL
                assert reply.json["message"] == "The server is out of disk space."
                left = sorted(path for path in blobs.rglob("*") if path.is_file())
                assert left == files
        with filled(tiny_disk):
            # Records need no room there, nor does a blob that only moves.
            assert (await create(pds, alice, {"n": 1})).status == 200
            assert (await create(pds, alice, {"blob": blob})).status == 200
        reply = await pds.upload(alice, bytes(100_000), "application/octet-stream")
        assert reply.status == 200
        assert (await create(pds, alice, {"blob": reply.json["blob"]})).status == 200
        assert len((await check_consistent(pds, alice)).records) == 3


async def test_blob_that_cannot_be_copied_to_its_disk_stays_temporary(
    tmp_path: Path, tiny_disk: Path
) -> None:
    """Uploads in progress may lie on another disk than the blobs."""
    environ = {
        "PDS_BLOBSTORE_DISK_LOCATION": str(tiny_disk / "blobs"),
        "PDS_BLOBSTORE_DISK_TMP_LOCATION": str(tmp_path / "uploads"),
    }
    async with AsyncExitStack() as stack:
        pds = await start_pds(stack, tmp_path, environ)
        alice = await pds.create_account("alice")
        data = bytes(500_000)
        blob = (await pds.upload(alice, data, "application/octet-stream")).json["blob"]
        with filled(tiny_disk):
            async with nothing_changes(pds, alice):
                assert (await create(pds, alice, {"blob": blob})).error == FULL
        assert (await create(pds, alice, {"blob": blob})).status == 200
        cid = blob["ref"]["$link"]
        assert (await pds.get("com.atproto.sync.getBlob", did=alice.did, cid=cid)).body == data
        await check_consistent(pds, alice)


async def test_full_disk_of_everything(tiny_disk: Path) -> None:
    """Whichever file it hits: each write is made or refused, and all agree afterwards."""
    async with AsyncExitStack() as stack:
        pds = await start_pds(stack, tiny_disk, {})
        alice = await pds.create_account("alice")
        written = {"first"}
        assert (await create(pds, alice, {"n": 0}, rkey="first")).status == 200
        for round_ in range(3):
            with filled(tiny_disk):
                errors = []
                for n in range(40):
                    rkey = f"r{round_}x{n}"
                    reply = await create(pds, alice, {"x": "y" * 20_000}, rkey=rkey)
                    if reply.status == 200:
                        written.add(rkey)
                    else:
                        errors.append(reply.error)
                assert set(errors) == {FULL}
                assert (await get(pds, alice, "first")).json["value"]["n"] == 0
            assert (await put(pds, alice, "first", {"n": 0, "round": round_})).status == 200
            assert (await put(pds, alice, "first", {"n": 0})).status == 200
        mirror = await check_consistent(pds, alice)
        assert set(mirror.records) == {f"{NOTE}/{rkey}" for rkey in written}
