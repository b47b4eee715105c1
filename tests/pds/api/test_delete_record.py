"""com.atproto.repo.deleteRecord."""

from __future__ import annotations

from typing import Any

from repo.cid import Cid
from tests.pds.api.exports import export, nothing_changes, signing_key
from tests.pds.api.firehose import operations, subscribed, verify_commit
from tests.pds.api.records import (
    NOTE,
    create,
    delete,
    follow,
    get,
    latest_commit,
    moderate,
    put,
)
from tests.pds.conftest import Account, Pds


async def test_delete_removes_the_record_and_tells_so(pds: Pds, alice: Account) -> None:
    created = (await create(pds, alice, {"n": 1}, rkey="one")).json
    await create(pds, alice, {"n": 2}, rkey="two")
    async with subscribed(pds) as consumer:
        reply = await delete(pds, alice, "one")
        body = (await consumer.next()).body
    assert reply.json == {"commit": await latest_commit(pds, alice)}
    verify_commit(body, await signing_key(pds, alice.did))
    (op,) = operations(body)
    assert (op.action, op.path, str(op.prev)) == ("delete", f"{NOTE}/one", created["cid"])
    assert (await get(pds, alice, "one")).error == (400, "RecordNotFound")
    exported = await export(pds, alice.did)
    assert list(exported.records) == [f"{NOTE}/two"]
    assert Cid.parse(created["cid"]) not in exported.blocks


async def test_block_that_another_record_shares_stays(pds: Pds, alice: Account) -> None:
    await create(pds, alice, {"n": 1}, rkey="one")
    await create(pds, alice, {"n": 1}, rkey="two")
    await delete(pds, alice, "one")
    assert (await export(pds, alice.did)).value(f"{NOTE}/two")["n"] == 1
    assert (await get(pds, alice, "two")).json["value"]["n"] == 1


async def test_absent_record_is_no_error_and_no_commit(pds: Pds, alice: Account) -> None:
    wrong = str(Cid.of_dag_cbor(b"\xa0"))
    async with nothing_changes(pds, alice):
        more: dict[str, Any]
        for more in ({}, {"swapRecord": wrong}, {"swapCommit": wrong}):
            reply = await delete(pds, alice, "nothing", **more)
            assert (reply.status, reply.json) == (200, {})


async def test_last_record_leaves_the_empty_tree(pds: Pds, alice: Account) -> None:
    before = (await export(pds, alice.did)).commit.data
    await create(pds, alice, {"n": 1}, rkey="one")
    await delete(pds, alice, "one")
    exported = await export(pds, alice.did)
    assert exported.commit.data == before
    assert len(exported.blocks) == 2


async def test_swap_record_must_be_the_version_there(pds: Pds, alice: Account) -> None:
    created = (await create(pds, alice, {"n": 1}, rkey="one")).json
    async with nothing_changes(pds, alice):
        reply = await delete(pds, alice, "one", swapRecord=str(Cid.of_dag_cbor(b"\xa0")))
        assert reply.error == (400, "InvalidSwap")
        assert reply.json["message"] == f"Record was at {created['cid']}"
        assert (await delete(pds, alice, "one", swapRecord=None)).error == (400, "InvalidRequest")
    assert (await delete(pds, alice, "one", swapRecord=created["cid"])).json["commit"]


async def test_swap_commit_must_be_the_head(pds: Pds, alice: Account) -> None:
    stale = (await latest_commit(pds, alice))["cid"]
    created = (await create(pds, alice, {"n": 1}, rkey="one")).json
    async with nothing_changes(pds, alice):
        reply = await delete(pds, alice, "one", swapCommit=stale)
        assert reply.error == (400, "InvalidSwap")
    reply = await delete(pds, alice, "one", swapCommit=created["commit"]["cid"])
    assert reply.status == 200


async def test_deleted_follow_may_be_made_again(pds: Pds, alice: Account, bob: Account) -> None:
    collection, rkey = "app.bsky.graph.follow", "3kabcdefghijk"
    await put(pds, alice, rkey, follow(bob.did), collection)
    await delete(pds, alice, rkey, collection)
    async with subscribed(pds) as consumer:
        await create(pds, alice, follow(bob.did), collection)
        (op,) = operations((await consumer.next()).body)
    assert op.action == "create"


async def test_takedown_ends_with_the_record(pds: Pds, alice: Account) -> None:
    created = (await create(pds, alice, {"n": 1}, rkey="one")).json
    subject = {"$type": "com.atproto.repo.strongRef", "uri": created["uri"], "cid": created["cid"]}
    await moderate(pds, subject, takedown=True)
    assert (await delete(pds, alice, "one")).json["commit"]
    await create(pds, alice, {"n": 1}, rkey="one")
    assert (await get(pds, alice, "one")).status == 200


async def test_other_accounts_record_cannot_be_deleted(
    pds: Pds, alice: Account, bob: Account
) -> None:
    await create(pds, bob, {"n": 1}, rkey="one")
    async with nothing_changes(pds, alice, bob):
        reply = await delete(pds, alice, "one", repo=bob.did)
        assert reply.error == (401, "AuthenticationRequired")
