"""Odd records, which no client may write: they come in with their repository and stay."""

from __future__ import annotations

from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from repo import dagcbor
from repo.cid import Cid
from repo.odd_record import find_oddity
from tests.pds.api.exports import export, list_all, nothing_changes, read_car, signing_key
from tests.pds.api.firehose import operations, subscribed, verify_commit
from tests.pds.api.imports import Mover, Repo, import_car, move_in
from tests.pds.api.records import NOTE, apply, create, delete, deletes, get, put
from tests.pds.api.test_import_repo import ACTIVATE, MISSING, blob_json, status
from tests.pds.conftest import Account, Pds
from tests.pds.events import kinds_of, read_events
from tests.pds.identities import plc_data_for
from tests.repo.odd_records import NOT_SHOWN, ODD, SHOWN, any_blocks, deep
from tests.repo.odd_records import NOTE as ODD_NOTE

BLOB = Cid.of_raw(b"blob")


@pytest.fixture
async def mover(pds: Pds) -> Mover:
    """An account that is about to bring its repository."""
    return await move_in(pds)


def rkey_of(name: str) -> str:
    return Cid.of_raw(name.encode()).raw.hex()


def odd_repo(mover: Mover) -> Repo:
    """A repository with every odd record, and a sound one."""
    repo = mover.repo({f"{NOTE}/sound": {"$type": NOTE, "n": 1}})
    repo.records |= {f"{NOTE}/{rkey_of(name)}": block for name, block in ODD.items()}
    return repo


async def move(pds: Pds, mover: Mover, repo: Repo) -> None:
    """Import a repository, and activate the account with it."""
    reply = await import_car(pds, mover.account, repo.car())
    assert reply.status == 200, reply.body
    moved = plc_data_for(pds, mover.owner.did, handle="dana.test", owner_key=mover.owner.key)
    mover.owner.update(pds, moved)
    assert (await pds.post(ACTIVATE, headers=mover.account.auth)).status == 200


async def test_odd_records_come_in_and_go_out_as_they_are(pds: Pds, mover: Mover) -> None:
    assert ODD_NOTE == NOTE
    repo = odd_repo(mover)
    with structlog.testing.capture_logs() as logs:
        await move(pds, mover, repo)
    (warning,) = [line for line in logs if "odd" in line["event"]]
    assert (warning["log_level"], warning["did"], warning["count"]) == (
        "warning",
        mover.did,
        len(ODD),
    )
    exported = await export(pds, mover.did)
    assert exported.records == repo.cids()
    assert {exported.blocks[cid] for cid in exported.records.values()} == set(repo.records.values())
    # The firehose has told where the repository is now, and nothing of its records.
    assert kinds_of(read_events(pds)) == ["account", "identity", "sync"]


async def test_the_owner_is_told_of_odd_records(pds: Pds, mover: Mover) -> None:
    repo = odd_repo(mover)
    assert (await import_car(pds, mover.account, repo.car())).status == 200
    told = (await status(pds, mover.account))["oddRecords"]
    assert told["count"] == len(ODD)
    assert len(told["examples"]) == min(20, len(ODD))
    for example in told["examples"]:
        key = example["uri"].removeprefix(f"at://{mover.did}/")
        assert example["cid"] == str(repo.cids()[key])
        assert example["reason"] == find_oddity(repo.records[key])
    # A second import without most of them leaves what it has.
    kept = mover.repo({f"{NOTE}/sound": {"$type": NOTE, "n": 2}})
    kept.records[f"{NOTE}/{rkey_of('a float')}"] = ODD["a float"]
    assert (await import_car(pds, mover.account, kept.car())).status == 200
    told = (await status(pds, mover.account))["oddRecords"]
    assert [example["cid"] for example in told["examples"]] == [
        str(Cid.of_dag_cbor(ODD["a float"]))
    ]
    sound = mover.repo({f"{NOTE}/sound": {"$type": NOTE, "n": 2}})
    assert (await import_car(pds, mover.account, sound.car())).status == 200
    assert "oddRecords" not in await status(pds, mover.account)


async def test_a_collection_whose_authority_has_upper_case_is_kept(pds: Pds, mover: Mover) -> None:
    collection = "App.bsky.feed.post"
    sound = {f"{NOTE}/a": {"n": 1}, "com.example.fooBar/a": {"n": 2}}
    await move(pds, mover, mover.repo(sound | {f"{collection}/a": {"n": 3}}))
    told = (await status(pds, mover.account))["oddRecords"]
    assert told["count"] == 1
    assert told["examples"][0]["uri"] == f"at://{mover.did}/{collection}/a"
    assert (await get(pds, mover.account, "a", collection)).json["value"] == {"n": 3}
    assert (await delete(pds, mover.account, "a", collection)).status == 200
    assert set((await export(pds, mover.did)).records) == set(sound)


async def test_odd_records_are_shown_as_what_they_are(pds: Pds, mover: Mover) -> None:
    await move(pds, mover, odd_repo(mover))
    shown = {}
    for name, (block, expected) in SHOWN.items():
        reply = await get(pds, mover.account, rkey_of(name))
        assert reply.status == 200, (name, reply.body)
        assert reply.json["cid"] == str(Cid.of_dag_cbor(block))
        assert reply.json["value"] == {"a": expected, "$type": NOTE}, name
        shown[f"{NOTE}/{rkey_of(name)}"] = Cid.of_dag_cbor(block)
    for name in NOT_SHOWN:
        reply = await get(pds, mover.account, rkey_of(name))
        assert reply.error == (400, "InvalidRequest"), (name, reply.body)
        assert "com.atproto.sync.getRecord has it" in reply.json["message"]
        proof = await pds.get(
            "com.atproto.sync.getRecord", did=mover.did, collection=NOTE, rkey=rkey_of(name)
        )
        assert Cid.of_dag_cbor(ODD[name]) in read_car(proof.body)[1]
    # Lists have those that can be shown, whatever page they are on.
    sound = f"{NOTE}/sound"
    for limit in (1, 3, 100):
        listed = await list_all(pds, mover.did, NOTE, limit)
        assert listed.keys() == {*shown, sound}
        assert {key: cid for key, cid in listed.items() if key != sound} == shown


async def test_a_deep_record_that_was_swapped_in_is_no_fault(
    pds: Pds, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of depth 200, as the reference takes it from any client."""
    await create(pds, alice, {"n": 1}, rkey="sound")
    await create(pds, alice, {"n": 2}, rkey="deep")
    block = deep(200)
    cid = Cid.of_dag_cbor(block)

    def swap(actor: Any) -> None:
        db = actor._db
        db.run(
            "INSERT INTO repo_block (cid, repoRev, size, content) VALUES (?, ?, ?, ?)",
            (str(cid), actor.repo.head().rev, len(block), block),
        )
        db.run("UPDATE record SET cid = ? WHERE rkey = 'deep'", (str(cid),))

    await pds.ctx.actor_store.transact(alice.did, swap)
    reply = await get(pds, alice, "deep")
    assert reply.status == 200
    assert reply.body.count(b"[") == 200
    assert len(await list_all(pds, alice.did, NOTE)) == 2


async def test_the_owner_deletes_and_replaces_odd_records(pds: Pds, mover: Mover) -> None:
    await move(pds, mover, odd_repo(mover))
    key = await signing_key(pds, mover.did)
    names = list(ODD)
    async with subscribed(pds) as consumer:
        assert (await delete(pds, mover.account, rkey_of(names[0]))).status == 200
        assert (await put(pds, mover.account, rkey_of(names[1]), {"n": 5})).status == 200
        rest = [deletes(rkey_of(name)) for name in names[2:]]
        assert (await apply(pds, mover.account, *rest)).status == 200
        for message in await consumer.take(3):
            verify_commit(message.body, key)
            assert all(op.action != "create" for op in operations(message.body))
    exported = await export(pds, mover.did)
    assert exported.records.keys() == {f"{NOTE}/sound", f"{NOTE}/{rkey_of(names[1])}"}
    assert "oddRecords" not in await status(pds, mover.account)


async def test_blobs_of_an_odd_record_are_missed_and_released(pds: Pds, mover: Mover) -> None:
    data = b"a file that an odd record refers to"
    uploaded = (await pds.upload(mover.account, data, "text/plain")).json["blob"]
    there, gone = uploaded["ref"]["$link"], str(BLOB)
    repo = mover.repo({})
    for rkey, cid in (("there", there), ("gone", gone)):
        record = {"$type": NOTE, "a": 1, "file": blob_json(cid, len(data))}
        plain = mover.repo({"x": record}).records["x"]
        repo.records[f"{NOTE}/{rkey}"] = plain.replace(b"aa\x01", b"aa\xfb" + bytes(8))
    await move(pds, mover, repo)
    assert (await status(pds, mover.account))["oddRecords"]["count"] == 2
    missing = (await pds.get(MISSING, mover.account.auth)).json["blobs"]
    assert missing == [{"cid": gone, "recordUri": f"at://{mover.did}/{NOTE}/gone"}]
    assert (await pds.get("com.atproto.sync.getBlob", did=mover.did, cid=there)).body == data
    for rkey in ("there", "gone"):
        assert (await delete(pds, mover.account, rkey)).status == 200
    assert (await pds.get(MISSING, mover.account.auth)).json["blobs"] == []
    assert (await pds.get("com.atproto.sync.getBlob", did=mover.did, cid=there)).status == 400
    await pds.ctx.actor_store.blob_files.settle()


async def test_an_odd_record_follows_whom_it_follows(pds: Pds, mover: Mover) -> None:
    record = {"$type": "app.bsky.graph.follow", "a": 1, "subject": mover.did}
    plain = mover.repo({"x": record}).records["x"]
    repo = mover.repo({})
    repo.records["app.bsky.graph.follow/a"] = plain.replace(b"aa\x01", b"aa\xfb" + bytes(8))
    await move(pds, mover, repo)
    again = {"subject": mover.did, "createdAt": "2026-01-01T00:00:00Z"}
    assert (
        await create(pds, mover.account, again, collection="app.bsky.graph.follow")
    ).status == 200
    assert len((await export(pds, mover.did)).records) == 1


async def test_a_record_with_the_form_of_a_node_is_refused(pds: Pds, mover: Mover) -> None:
    repo = odd_repo(mover)
    repo.records[f"{NOTE}/node"] = dagcbor.encode({"e": [], "l": None})
    async with nothing_changes(pds, mover.account):
        reply = await import_car(pds, mover.account, repo.car())
        assert reply.error == (400, "InvalidRequest")
        assert "tree node" in reply.json["message"]


async def test_a_record_larger_than_any_client_may_write_is_kept(pds: Pds, mover: Mover) -> None:
    repo = mover.repo({f"{NOTE}/sound": {"$type": NOTE, "n": 1}})
    repo.records[f"{NOTE}/large"] = dagcbor.encode({"$type": NOTE, "x": "y" * 1_100_000})
    await move(pds, mover, repo)
    assert (await export(pds, mover.did)).records == repo.cids()
    assert (
        "of 1000000 allowed"
        in (await status(pds, mover.account))["oddRecords"]["examples"][0]["reason"]
    )
    assert (await get(pds, mover.account, "large")).status in (200, 400)
    assert (await delete(pds, mover.account, "large")).status == 200
    assert "oddRecords" not in await status(pds, mover.account)


@given(st.lists(any_blocks, min_size=1, max_size=12))
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_whatever_a_record_is_it_comes_in_and_out_and_can_be_deleted(
    pds: Pds, alice: Account, blocks: list[bytes]
) -> None:
    key = pds.ctx.actor_store.key(alice.did)
    repo = Repo.of(alice.did, key, {f"{NOTE}/sound": {"$type": NOTE, "n": 1}})
    repo.records |= {f"{NOTE}/{n}": block for n, block in enumerate(blocks)}
    reply = await import_car(pds, alice, repo.car())
    assert reply.status == 200, reply.body
    exported = await export(pds, alice.did)
    assert exported.commit.data == repo.commit().commit.data
    assert exported.records == repo.cids()
    assert exported.blocks.items() >= {
        (Cid.of_dag_cbor(block), block) for block in repo.records.values()
    }
    told = await status(pds, alice)
    odd_blocks = [block for block in blocks if find_oddity(block) is not None]
    assert told.get("oddRecords", {"count": 0})["count"] == len(odd_blocks)
    for n in range(len(blocks)):
        assert (await get(pds, alice, str(n))).status in (200, 400)
    assert f"{NOTE}/sound" in await list_all(pds, alice.did, NOTE, 3)
    deleted = await apply(pds, alice, *(deletes(str(n)) for n in range(len(blocks))))
    assert deleted.status == 200
    assert set((await export(pds, alice.did)).records) == {f"{NOTE}/sound"}
