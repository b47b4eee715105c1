"""com.atproto.repo.createRecord."""

from __future__ import annotations

import pytest

from repo import dagcbor
from repo.cid import Cid
from repo.tid import is_tid
from tests.pds.api.exports import export, nothing_changes, signing_key
from tests.pds.api.firehose import operations, subscribed, verify_commit
from tests.pds.api.records import (
    NOTE,
    POST,
    PROFILE,
    create,
    follow,
    get,
    latest_commit,
    like,
    post,
    uri_of,
)
from tests.pds.conftest import Account, Pds


async def test_output_names_record_commit_and_validation(pds: Pds, alice: Account) -> None:
    reply = await create(pds, alice, post("hi"), POST)
    assert reply.status == 200
    assert reply.json.keys() == {"uri", "cid", "commit", "validationStatus"}
    assert reply.json["validationStatus"] == "valid"
    assert reply.json["commit"] == await latest_commit(pds, alice)
    rkey = reply.json["uri"].removeprefix(f"at://{alice.did}/{POST}/")
    assert is_tid(rkey)
    # The CID is that of the canonical bytes.
    assert Cid.parse(reply.json["cid"]) == Cid.of_dag_cbor(dagcbor.encode(post("hi")))


async def test_event_tells_of_the_create(pds: Pds, alice: Account) -> None:
    async with subscribed(pds) as consumer:
        output = (await create(pds, alice, {"n": 1}, rkey="one")).json
        body = (await consumer.next()).body
    blocks = verify_commit(body, await signing_key(pds, alice.did))
    (op,) = operations(body)
    assert (op.action, op.path, str(op.cid)) == ("create", f"{NOTE}/one", output["cid"])
    assert op.cid is not None
    assert dagcbor.decode(blocks[op.cid]) == {"$type": NOTE, "n": 1}
    assert (str(body["commit"]), body["rev"]) == (
        output["commit"]["cid"],
        output["commit"]["rev"],
    )


async def test_missing_type_becomes_the_collection(pds: Pds, alice: Account) -> None:
    await create(pds, alice, {"n": 1}, rkey="one")
    assert (await get(pds, alice, "one")).json["value"] == {"$type": NOTE, "n": 1}


async def test_repo_may_be_named_by_handle_in_any_case(pds: Pds, alice: Account) -> None:
    reply = await create(pds, alice, {"n": 1}, repo=alice.handle.upper(), rkey="one")
    assert reply.json["uri"] == uri_of(alice, "one")


async def test_rkeys_given_by_the_server_rise(pds: Pds, alice: Account) -> None:
    uris = [(await create(pds, alice, {"n": n})).json["uri"] for n in range(5)]
    assert uris == sorted(set(uris))


@pytest.mark.parametrize("rkey", ["a", "A-z_0~9.:x", "self", "...", "x" * 512])
async def test_rkey_may_be_chosen(pds: Pds, alice: Account, rkey: str) -> None:
    assert (await create(pds, alice, {"n": 1}, rkey=rkey)).json["uri"] == uri_of(alice, rkey)
    assert (await get(pds, alice, rkey)).status == 200


async def test_taken_rkey_is_refused(pds: Pds, alice: Account) -> None:
    await create(pds, alice, {"n": 1}, rkey="one")
    async with nothing_changes(pds, alice):
        # The reference's answer is a 500 that no client can act upon.
        reply = await create(pds, alice, {"n": 2}, rkey="one")
        assert reply.error == (400, "RecordAlreadyExists")


async def test_swap_commit_must_be_the_head(pds: Pds, alice: Account) -> None:
    head = (await latest_commit(pds, alice))["cid"]
    first = await create(pds, alice, {"n": 1}, swapCommit=head)
    assert first.status == 200
    async with nothing_changes(pds, alice):
        reply = await create(pds, alice, {"n": 2}, swapCommit=head)
        assert reply.error == (400, "InvalidSwap")
        assert reply.json["message"] == f"Commit was at {first.json['commit']['cid']}"


@pytest.mark.parametrize(
    ("collection", "validate", "status"),
    [
        (POST, None, "valid"),
        (POST, True, "valid"),
        (POST, False, None),
        (NOTE, None, "unknown"),
        (NOTE, False, None),
    ],
)
async def test_validation_status(
    pds: Pds, alice: Account, collection: str, validate: bool | None, status: str | None
) -> None:
    more = {} if validate is None else {"validate": validate}
    record = {**post(), "$type": collection}
    output = (await create(pds, alice, record, collection, **more)).json
    assert output.get("validationStatus") == status


async def test_unknown_type_cannot_be_validated(pds: Pds, alice: Account) -> None:
    async with nothing_changes(pds, alice):
        reply = await create(pds, alice, {"n": 1}, validate=True)
        assert reply.error == (400, "InvalidRequest")
        assert reply.json["message"] == f"Unknown lexicon type: {NOTE}"


async def test_invalid_record_is_stored_without_validation(pds: Pds, alice: Account) -> None:
    assert (await create(pds, alice, {"a": 1}, POST)).error == (400, "InvalidRequest")
    assert (await create(pds, alice, {"a": 1}, POST, validate=False)).status == 200


async def test_rkey_must_suit_the_type(pds: Pds, alice: Account) -> None:
    async with nothing_changes(pds, alice):
        reply = await create(pds, alice, post(), POST, rkey="abc")
        assert reply.json["message"] == (
            f'Invalid record key for {POST}: Invalid TID string (got "abc") at $'
        )
        reply = await create(pds, alice, {"displayName": "x"}, PROFILE, rkey="other")
        assert reply.json["message"] == (
            f'Invalid record key for {PROFILE}: Expected "self" (got "other") at $'
        )


async def test_second_follow_of_one_account_replaces_the_first(
    pds: Pds, alice: Account, bob: Account
) -> None:
    collection = "app.bsky.graph.follow"
    async with subscribed(pds) as consumer:
        first = (await create(pds, alice, follow(bob.did), collection)).json
        second = (await create(pds, alice, follow(bob.did), collection)).json
        body = (await consumer.take(2))[1].body
    verify_commit(body, await signing_key(pds, alice.did))
    assert [op.action for op in operations(body)] == ["delete", "create"]
    assert str(operations(body)[0].prev) == first["cid"]
    exported = await export(pds, alice.did)
    assert [f"at://{alice.did}/{path}" for path in exported.records] == [second["uri"]]


async def test_follow_replaced_under_its_own_rkey_is_one_update(
    pds: Pds, alice: Account, bob: Account
) -> None:
    collection, rkey = "app.bsky.graph.follow", "3kabcdefghijk"
    later = {**follow(bob.did), "createdAt": "2026-02-02T00:00:00.000Z"}
    await create(pds, alice, follow(bob.did), collection, rkey=rkey)
    async with subscribed(pds) as consumer:
        second = await create(pds, alice, later, collection, rkey=rkey)
        assert second.status == 200
        body = (await consumer.next()).body
    # Consumers refuse a commit with two operations on one record.
    verify_commit(body, await signing_key(pds, alice.did))
    assert [op.action for op in operations(body)] == ["update"]
    assert (await get(pds, alice, rkey, collection)).json["value"] == later


async def test_likes_replace_each_other_by_subject_and_collection(pds: Pds, alice: Account) -> None:
    liked, other = [(await create(pds, alice, post(text), POST)).json for text in "ab"]
    collection = "app.bsky.feed.like"
    for record in (liked, other, liked):
        await create(pds, alice, like(record["uri"], record["cid"]), collection)
    repost = {**like(liked["uri"], liked["cid"]), "$type": "app.bsky.feed.repost"}
    await create(pds, alice, repost, "app.bsky.feed.repost")
    described = await pds.get("com.atproto.repo.listRecords", repo=alice.did, collection=collection)
    subjects = [record["value"]["subject"]["uri"] for record in described.json["records"]]
    assert subjects == [liked["uri"], other["uri"]]


async def test_without_validation_nothing_is_replaced(
    pds: Pds, alice: Account, bob: Account
) -> None:
    for _ in range(2):
        await create(pds, alice, follow(bob.did), "app.bsky.graph.follow", validate=False)
    assert len((await export(pds, alice.did)).records) == 2


async def test_same_record_twice_shares_its_block(pds: Pds, alice: Account) -> None:
    one = (await create(pds, alice, {"n": 1}, rkey="one")).json
    async with subscribed(pds) as consumer:
        two = (await create(pds, alice, {"n": 1}, rkey="two")).json
        body = (await consumer.next()).body
    assert one["cid"] == two["cid"]
    # The block is known to this server, but not to every consumer.
    assert Cid.parse(two["cid"]) in verify_commit(body, await signing_key(pds, alice.did))
    await export(pds, alice.did)


async def test_json_forms_of_links_and_bytes_come_back(pds: Pds, alice: Account) -> None:
    cid = str(Cid.of_raw(b"x"))
    record = {
        "$type": NOTE,
        "link": {"$link": cid},
        "bytes": {"$bytes": "AAEC/w"},
        "list": [{"$link": cid}, {"$bytes": ""}, None, True, -5, "\u0000\U0001f980"],
        "": "empty key",
    }
    await create(pds, alice, record, rkey="one")
    assert (await get(pds, alice, "one")).json["value"] == record
    stored = (await export(pds, alice.did)).value(f"{NOTE}/one")
    assert stored["link"] == Cid.parse(cid)
    assert stored["bytes"] == b"\x00\x01\x02\xff"


@pytest.mark.parametrize("depth", [100, 127])
async def test_deep_record_comes_back_as_it_was(pds: Pds, alice: Account, depth: int) -> None:
    inner: object = {"$link": str(Cid.of_raw(b"x"))}
    for _ in range(depth):
        inner = [inner]
    record = {"$type": NOTE, "deep": inner}
    assert (await create(pds, alice, record, rkey="one")).status == 200
    assert (await get(pds, alice, "one")).json["value"] == record
    reply = await pds.get("com.atproto.repo.listRecords", repo=alice.did, collection=NOTE)
    assert reply.json["records"][0]["value"] == record
    await export(pds, alice.did)


async def test_other_accounts_repo_cannot_be_written(
    pds: Pds, alice: Account, bob: Account
) -> None:
    async with nothing_changes(pds, alice, bob):
        for repo in (bob.did, bob.handle):
            reply = await create(pds, alice, {"n": 1}, repo=repo)
            assert reply.error == (401, "AuthenticationRequired")
            assert reply.json["message"] == "Authentication Required"
