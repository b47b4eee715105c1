"""com.atproto.repo.applyWrites."""

from __future__ import annotations

from typing import Any

import pytest

from repo.cid import Cid
from repo.tid import is_tid
from tests.pds.api.exports import export, nothing_changes, signing_key
from tests.pds.api.firehose import operations, subscribed, verify_commit
from tests.pds.api.records import (
    NOTE,
    POST,
    apply,
    create,
    creates,
    deletes,
    follow,
    get,
    latest_commit,
    post,
    updates,
    uri_of,
)
from tests.pds.conftest import Account, Pds

RESULT = "com.atproto.repo.applyWrites"


async def test_writes_are_one_commit_with_results_in_order(pds: Pds, alice: Account) -> None:
    await apply(pds, alice, creates({"n": 1}, "old"), creates({"n": 2}, "gone"))
    async with subscribed(pds) as consumer:
        reply = await apply(
            pds,
            alice,
            creates({"n": 3}, "new"),
            deletes("gone"),
            creates(post(), collection=POST),
            updates("old", {"n": 4}),
        )
        body = (await consumer.next()).body
    assert reply.status == 200
    assert reply.json["commit"] == await latest_commit(pds, alice)
    created, deleted, posted, updated = reply.json["results"]
    assert created == {
        "$type": f"{RESULT}#createResult",
        "uri": uri_of(alice, "new"),
        "cid": created["cid"],
        "validationStatus": "unknown",
    }
    assert deleted == {"$type": f"{RESULT}#deleteResult"}
    assert (updated["$type"], updated["uri"]) == (f"{RESULT}#updateResult", uri_of(alice, "old"))
    assert posted["validationStatus"] == "valid"
    assert is_tid(posted["uri"].rpartition("/")[2])
    verify_commit(body, await signing_key(pds, alice.did))
    assert [(op.action, op.path) for op in operations(body)] == [
        ("create", f"{NOTE}/new"),
        ("delete", f"{NOTE}/gone"),
        ("create", posted["uri"].removeprefix(f"at://{alice.did}/")),
        ("update", f"{NOTE}/old"),
    ]
    exported = await export(pds, alice.did)
    assert len(exported.records) == 3
    assert exported.value(f"{NOTE}/old")["n"] == 4


async def test_no_writes_make_no_commit(pds: Pds, alice: Account) -> None:
    await create(pds, alice, {"n": 1}, rkey="one")
    head = (await latest_commit(pds, alice))["cid"]
    async with nothing_changes(pds, alice):
        for swap in ({}, {"swapCommit": head}):
            reply = await apply(pds, alice, **swap)
            assert (reply.status, reply.json) == (200, {"results": []})
        # What is asked of the commit holds nevertheless.
        reply = await apply(pds, alice, swapCommit=str(Cid.of_dag_cbor(b"another")))
        assert reply.error == (400, "InvalidSwap")


async def test_update_that_changes_nothing_is_not_told_of(pds: Pds, alice: Account) -> None:
    await create(pds, alice, {"n": 1}, rkey="one")
    async with subscribed(pds) as consumer:
        reply = await apply(pds, alice, updates("one", {"n": 1}), creates({"n": 2}, "two"))
        body = (await consumer.next()).body
    assert [result["$type"].partition("#")[2] for result in reply.json["results"]] == [
        "updateResult",
        "createResult",
    ]
    blocks = verify_commit(body, await signing_key(pds, alice.did))
    assert [(op.action, op.path) for op in operations(body)] == [("create", f"{NOTE}/two")]
    assert Cid.parse(reply.json["results"][0]["cid"]) not in blocks


async def test_two_hundred_writes_are_one_verifiable_commit(pds: Pds, alice: Account) -> None:
    key = await signing_key(pds, alice.did)
    async with subscribed(pds) as consumer:
        await apply(pds, alice, *(creates({"n": n}, f"r{n}") for n in range(200)))
        await apply(pds, alice, *(updates(f"r{n}", {"n": -n}) for n in range(1, 200)))
        await apply(pds, alice, *(deletes(f"r{n}") for n in range(200)))
        for message in await consumer.take(3):
            verify_commit(message.body, key)
    assert (await export(pds, alice.did)).records == {}


async def test_more_writes_are_refused(pds: Pds, alice: Account) -> None:
    async with nothing_changes(pds, alice):
        reply = await apply(pds, alice, *(creates({"n": n}) for n in range(201)))
        assert reply.error == (400, "InvalidRequest")
        assert reply.json["message"] == "Too many writes. Max: 200"


async def test_one_impossible_write_undoes_all(pds: Pds, alice: Account) -> None:
    await create(pds, alice, {"n": 1}, rkey="one")
    possible = [creates({"n": 2}, "two"), updates("one", {"n": 3})]
    async with nothing_changes(pds, alice):
        for impossible, name in (
            (creates({"n": 4}, "one"), "RecordAlreadyExists"),
            (updates("nothing", {"n": 4}), "RecordNotFound"),
            (deletes("nothing"), "RecordNotFound"),
        ):
            for writes in ([*possible, impossible], [impossible, *possible]):
                assert (await apply(pds, alice, *writes)).error == (400, name)
    assert (await get(pds, alice, "one")).json["value"]["n"] == 1


async def test_swap_commit_must_be_the_head(pds: Pds, alice: Account) -> None:
    head = (await latest_commit(pds, alice))["cid"]
    first = await apply(pds, alice, creates({"n": 1}), swapCommit=head)
    assert first.status == 200
    async with nothing_changes(pds, alice):
        reply = await apply(pds, alice, creates({"n": 2}), swapCommit=head)
        assert reply.error == (400, "InvalidSwap")
        assert reply.json["message"] == f"Commit was at {first.json['commit']['cid']}"


@pytest.mark.parametrize(
    ("writes", "op"),
    [
        ([updates("one", {"n": 2}), deletes("one")], ("delete", True, False)),
        ([deletes("one"), creates({"n": 2}, "one")], ("update", True, True)),
        ([updates("one", {"n": 2}), updates("one", {"n": 3})], ("update", True, True)),
        ([creates({"n": 2}, "new"), updates("new", {"n": 3})], ("create", False, True)),
    ],
)
async def test_event_lists_a_record_once_however_often_it_is_written(
    pds: Pds, alice: Account, writes: list[dict[str, Any]], op: tuple[str, bool, bool]
) -> None:
    created = (await create(pds, alice, {"n": 1}, rkey="one")).json
    async with subscribed(pds) as consumer:
        reply = await apply(pds, alice, *writes)
        assert reply.status == 200, reply.body
        assert len(reply.json["results"]) == 2
        body = (await consumer.next()).body
    verify_commit(body, await signing_key(pds, alice.did))
    seen = [(op.action, op.prev is not None, op.cid is not None) for op in operations(body)]
    assert seen == [op]
    if op[1]:
        assert str(operations(body)[0].prev) == created["cid"]
    # What came in between is left nowhere.
    await export(pds, alice.did)


@pytest.mark.parametrize(
    "writes",
    [
        [updates("one", {"n": 1})],
        [creates({"n": 2}, "new"), deletes("new")],
        [deletes("one"), creates({"n": 1}, "one")],
        [updates("one", {"n": 2}), updates("one", {"n": 1})],
    ],
)
async def test_writes_without_an_effect_make_no_commit(
    pds: Pds, alice: Account, writes: list[dict[str, Any]]
) -> None:
    await create(pds, alice, {"n": 1}, rkey="one")
    async with nothing_changes(pds, alice):
        reply = await apply(pds, alice, *writes)
        assert reply.status == 200
        assert len(reply.json["results"]) == len(writes)
        assert "commit" not in reply.json


async def test_second_follow_is_not_noticed_here(pds: Pds, alice: Account, bob: Account) -> None:
    write = creates(follow(bob.did), collection="app.bsky.graph.follow")
    assert (await apply(pds, alice, write, write)).status == 200
    assert len((await export(pds, alice.did)).records) == 2


async def test_validate_false_skips_the_lexicon_for_all(pds: Pds, alice: Account) -> None:
    writes = [creates({"a": 1}, collection=POST), creates({"n": 1})]
    reply = await apply(pds, alice, *writes, validate=False)
    assert all("validationStatus" not in result for result in reply.json["results"])
    async with nothing_changes(pds, alice):
        reply = await apply(pds, alice, *writes)
        assert reply.json["message"] == (
            f'Invalid {POST} record: Missing required key "text" at $.writes[0].record'
        )
        reply = await apply(pds, alice, creates({"n": 1}), validate=True)
        assert reply.json["message"] == f"Unknown lexicon type: {NOTE}"


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (
            {"$type": f"{RESULT}#frob", "collection": NOTE, "rkey": "a"},
            (
                f'Expected one of "{RESULT}#create", "{RESULT}#update" or "{RESULT}#delete"'
                f' (got "{RESULT}#frob") at $.writes[0].$type'
            ),
        ),
        (
            {"collection": NOTE, "rkey": "a"},
            (
                'Expected an object which includes the "$type" property value type'
                ' (got {"collection": ..., "rkey": ...}) at $.writes[0]'
            ),
        ),
        (
            {"$type": f"{RESULT}#update", "collection": NOTE, "value": {}},
            'Missing required key "rkey" at $.writes[0]',
        ),
        (
            {"$type": f"{RESULT}#delete", "collection": NOTE, "rkey": "a/b"},
            'Invalid record key (got "a/b") at $.writes[0].rkey',
        ),
        (
            creates({"a": 1.5}),
            (
                "Expected one of null, boolean, integer, string, cid, bytes, array or object value"
                " type (got 1.5) at $.writes[0].value.a"
            ),
        ),
    ],
)
async def test_malformed_write_is_refused_with_its_place(
    pds: Pds, alice: Account, write: dict[str, Any], message: str
) -> None:
    async with nothing_changes(pds, alice):
        reply = await apply(pds, alice, write)
        assert reply.error == (400, "InvalidRequest")
        assert reply.json["message"] == message


async def test_replaced_blocks_are_gone_unless_shared(pds: Pds, alice: Account) -> None:
    shared = (await create(pds, alice, {"n": 1}, rkey="one")).json["cid"]
    await create(pds, alice, {"n": 1}, rkey="two")
    await apply(pds, alice, updates("one", {"n": 2}))
    assert Cid.parse(shared) in (await export(pds, alice.did)).blocks
    await apply(pds, alice, deletes("two"), updates("one", {"n": 3}))
    exported = await export(pds, alice.did)
    assert Cid.parse(shared) not in exported.blocks
    assert exported.value(f"{NOTE}/one")["n"] == 3


async def test_other_accounts_repo_cannot_be_written(
    pds: Pds, alice: Account, bob: Account
) -> None:
    async with nothing_changes(pds, alice, bob):
        reply = await apply(pds, alice, creates({"n": 1}), repo=bob.did)
        assert reply.error == (401, "AuthenticationRequired")
