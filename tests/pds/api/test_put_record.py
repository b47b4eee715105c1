"""com.atproto.repo.putRecord."""

from __future__ import annotations

from typing import Any

import pytest

from actor_store.writes import PreparedWrite
from pds.repos.commits import commit
from repo import dagcbor
from repo.cid import Cid
from repo.syntax import Did
from tests.pds.api.exports import export, nothing_changes, signing_key
from tests.pds.api.firehose import operations, subscribed, verify_commit
from tests.pds.api.records import (
    NOTE,
    PROFILE,
    create,
    follow,
    get,
    latest_commit,
    moderate,
    put,
    uri_of,
)
from tests.pds.conftest import Account, Pds


async def test_put_creates_then_updates(pds: Pds, alice: Account) -> None:
    async with subscribed(pds) as consumer:
        first = (await put(pds, alice, "one", {"n": 1})).json
        second = (await put(pds, alice, "one", {"n": 2})).json
        bodies = [message.body for message in await consumer.take(2)]
    key = await signing_key(pds, alice.did)
    for body, output in zip(bodies, (first, second), strict=True):
        verify_commit(body, key)
        assert output["uri"] == uri_of(alice, "one")
        assert output["commit"]["rev"] == body["rev"]
    (created,), (updated,) = map(operations, bodies)
    assert (created.action, updated.action) == ("create", "update")
    assert str(updated.prev) == first["cid"]
    exported = await export(pds, alice.did)
    assert exported.value(f"{NOTE}/one") == {"$type": NOTE, "n": 2}
    assert Cid.parse(first["cid"]) not in exported.blocks


async def test_same_record_again_is_no_commit(pds: Pds, alice: Account) -> None:
    first = (await put(pds, alice, "one", {"n": 1})).json
    async with nothing_changes(pds, alice):
        again = await put(pds, alice, "one", {"n": 1})
        assert again.status == 200
        del first["commit"]
        assert again.json == first


async def test_same_record_again_skips_the_swap_checks(pds: Pds, alice: Account) -> None:
    await put(pds, alice, "one", {"n": 1})
    wrong = str(Cid.of_dag_cbor(b"\xa0"))
    async with nothing_changes(pds, alice):
        more: dict[str, Any]
        for more in ({"swapRecord": None}, {"swapRecord": wrong}, {"swapCommit": wrong}):
            assert (await put(pds, alice, "one", {"n": 1}, **more)).status == 200


async def test_swap_record_null_means_there_must_be_none(pds: Pds, alice: Account) -> None:
    first = await put(pds, alice, "one", {"n": 1}, swapRecord=None)
    assert first.status == 200
    async with nothing_changes(pds, alice):
        reply = await put(pds, alice, "one", {"n": 2}, swapRecord=None)
        assert reply.error == (400, "InvalidSwap")
        assert reply.json["message"] == f"Record was at {first.json['cid']}"


async def test_swap_record_must_be_the_version_there(pds: Pds, alice: Account) -> None:
    wrong = str(Cid.of_dag_cbor(b"\xa0"))
    async with nothing_changes(pds, alice):
        reply = await put(pds, alice, "one", {"n": 1}, swapRecord=wrong)
        assert (reply.error, reply.json["message"]) == ((400, "InvalidSwap"), "Record was at null")
    first = (await put(pds, alice, "one", {"n": 1})).json
    async with nothing_changes(pds, alice):
        reply = await put(pds, alice, "one", {"n": 2}, swapRecord=wrong)
        assert reply.error == (400, "InvalidSwap")
    assert (await put(pds, alice, "one", {"n": 2}, swapRecord=first["cid"])).status == 200


async def test_swap_commit_must_be_the_head(pds: Pds, alice: Account) -> None:
    head = (await latest_commit(pds, alice))["cid"]
    assert (await put(pds, alice, "one", {"n": 1}, swapCommit=head)).status == 200
    async with nothing_changes(pds, alice):
        reply = await put(pds, alice, "one", {"n": 2}, swapCommit=head)
        assert reply.error == (400, "InvalidSwap")


async def test_rkey_is_required(pds: Pds, alice: Account) -> None:
    body = {"repo": alice.did, "collection": NOTE, "record": {}}
    reply = await pds.post("com.atproto.repo.putRecord", body, alice.auth)
    assert reply.error == (400, "InvalidRequest")
    assert reply.json["message"] == 'Missing required key "rkey" at $'


async def test_put_does_not_replace_another_follow(pds: Pds, alice: Account, bob: Account) -> None:
    collection = "app.bsky.graph.follow"
    await create(pds, alice, follow(bob.did), collection)
    assert (await put(pds, alice, "3kabcdefghijk", follow(bob.did), collection)).status == 200
    assert len((await export(pds, alice.did)).records) == 2


async def test_updated_follow_is_replaced_by_its_new_subject(
    pds: Pds, alice: Account, bob: Account
) -> None:
    collection, rkey = "app.bsky.graph.follow", "3kabcdefghijk"
    await put(pds, alice, rkey, follow(bob.did), collection)
    await put(pds, alice, rkey, follow(alice.did), collection)
    await create(pds, alice, follow(bob.did), collection)
    assert len((await export(pds, alice.did)).records) == 2
    await create(pds, alice, follow(alice.did), collection)
    assert (await get(pds, alice, rkey, collection)).status == 400


async def test_put_over_a_record_that_is_taken_down_leaves_it_down(
    pds: Pds, alice: Account
) -> None:
    first = (await put(pds, alice, "one", {"n": 1})).json
    subject = {"$type": "com.atproto.repo.strongRef", "uri": first["uri"], "cid": first["cid"]}
    await moderate(pds, subject, takedown=True)
    assert (await put(pds, alice, "one", {"n": 2})).status == 200
    assert (await get(pds, alice, "one")).error == (400, "RecordNotFound")
    await moderate(pds, subject, takedown=False)
    assert (await get(pds, alice, "one")).json["value"]["n"] == 2


async def write_legacy_profile(pds: Pds, account: Account, **fields: Any) -> None:
    """Store a profile from before 2023, which no client can write any more."""
    block = dagcbor.encode({"$type": PROFILE, **fields})
    write = PreparedWrite("create", PROFILE, "self", Cid.of_dag_cbor(block), block)
    await commit(pds.ctx, Did(account.did), lambda _: [write])


async def test_profile_update_upgrades_legacy_images(pds: Pds, alice: Account) -> None:
    png = b"\x89PNG\r\n\x1a\n" + bytes(60)
    blob = (await pds.upload(alice, png)).json["blob"]
    legacy = {"cid": blob["ref"]["$link"], "mimeType": "image/png"}
    await write_legacy_profile(pds, alice, avatar=legacy)
    reply = await put(
        pds, alice, "self", {"displayName": "x", "avatar": legacy, "banner": legacy}, PROFILE
    )
    assert reply.status == 200, reply.body
    value = (await get(pds, alice, "self", PROFILE)).json["value"]
    assert value["avatar"] == value["banner"] == blob
    served = await pds.get("com.atproto.sync.getBlob", did=alice.did, cid=blob["ref"]["$link"])
    assert served.body == png


async def test_profile_update_with_an_unknown_legacy_image_is_refused(
    pds: Pds, alice: Account
) -> None:
    legacy = {"cid": str(Cid.of_raw(b"never uploaded")), "mimeType": "image/png"}
    await write_legacy_profile(pds, alice, avatar=legacy)
    async with nothing_changes(pds, alice):
        reply = await put(pds, alice, "self", {"avatar": legacy}, PROFILE)
        assert reply.error == (400, "InvalidRequest")
        assert reply.json["message"] == "Blob not found"


@pytest.mark.parametrize("collection", [PROFILE, NOTE])
async def test_legacy_images_are_refused_anywhere_else(
    pds: Pds, alice: Account, collection: str
) -> None:
    blob = (await pds.upload(alice, b"\x89PNG\r\n\x1a\n" + bytes(60))).json["blob"]
    legacy = {"cid": blob["ref"]["$link"], "mimeType": "image/png"}
    async with nothing_changes(pds, alice):
        # There is no profile yet, so this is no update.
        reply = await put(pds, alice, "self", {"avatar": legacy}, collection)
        assert reply.error == (400, "InvalidRequest")
