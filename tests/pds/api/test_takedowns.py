"""What a takedown hides, of whom, and what it leaves: each way to read or write, one by one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from repo.cid import Cid
from tests.pds.api.blobs import fetch, files, listed, uploaded
from tests.pds.api.exports import read_car
from tests.pds.api.firehose import subscribed
from tests.pds.api.moderation import (
    NOTE,
    PNG,
    REVERSED,
    STATUS,
    Recorder,
    applied,
    make_inactive,
    update,
    update_account,
)
from tests.pds.conftest import Account, Pds, Reply
from tests.pds.events import kinds_of, read_events

REPO = "com.atproto.repo"
SYNC = "com.atproto.sync"


async def get_note(pds: Pds, account: Account, headers: Any = None, **params: str) -> Reply:
    """Ask for the furnished record."""
    return await pds.get(
        f"{REPO}.getRecord", headers, repo=account.did, collection=NOTE, rkey="one", **params
    )


async def write_note(pds: Pds, account: Account, method: str, **more: Any) -> Reply:
    """Write the furnished record, or a new one."""
    body = {"repo": account.did, "collection": NOTE, **more}
    return await pds.post(f"{REPO}.{method}", body, account.auth)


# --- Accounts


@pytest.mark.parametrize("state", ["deactivated", "takendown"])
@pytest.mark.usefixtures("furnished")
async def test_the_handle_opens_no_more_than_the_did(pds: Pds, alice: Account, state: str) -> None:
    await make_inactive(pds, alice, state)
    for headers in (None, alice.auth, pds.admin):
        record = await pds.get(
            f"{REPO}.getRecord", headers, repo=alice.handle, collection=NOTE, rkey="one"
        )
        assert record.json == {"error": "InvalidRequest", "message": "Could not locate record"}
        records = await pds.get(f"{REPO}.listRecords", headers, repo=alice.handle, collection=NOTE)
        assert records.json["message"] == f"Could not find repo: {alice.handle}"
        described = await pds.get(f"{REPO}.describeRepo", headers, repo=alice.handle)
        assert described.json == {
            "error": f"Repo{state.capitalize()}",
            "message": f"Repo has been {state}: {alice.handle}",
        }


WRITES: dict[str, Callable[[Pds, Account], Awaitable[Reply]]] = {
    "createRecord": lambda pds, alice: write_note(pds, alice, "createRecord", record={}),
    "createRecord by handle": lambda pds, alice: write_note(
        pds, alice, "createRecord", repo=alice.handle, record={}
    ),
    "putRecord": lambda pds, alice: write_note(pds, alice, "putRecord", rkey="one", record={}),
    "deleteRecord": lambda pds, alice: write_note(pds, alice, "deleteRecord", rkey="one"),
    "applyWrites": lambda pds, alice: write_note(pds, alice, "applyWrites", writes=[]),
}
PRIVATE_CHANGES: dict[str, Callable[[Pds, Account], Awaitable[Reply]]] = {
    "uploadBlob": lambda pds, alice: pds.upload(alice, PNG),
    "putPreferences": lambda pds, alice: pds.post(
        "app.bsky.actor.putPreferences", {"preferences": []}, alice.auth
    ),
    "createAppPassword": lambda pds, alice: pds.post(
        "com.atproto.server.createAppPassword", {"name": "phone"}, alice.auth
    ),
    "updateHandle": lambda pds, alice: pds.post(
        "com.atproto.identity.updateHandle", {"handle": "dana.test"}, alice.auth
    ),
}


@pytest.mark.parametrize("change", WRITES | PRIVATE_CHANGES)
@pytest.mark.usefixtures("furnished")
async def test_an_account_that_is_taken_down_changes_nothing_with_an_older_session(
    pds: Pds, alice: Account, new_events: Recorder, change: str
) -> None:
    await make_inactive(pds, alice, "takendown")
    new_events()
    reply = await (WRITES | PRIVATE_CHANGES)[change](pds, alice)
    assert (reply.status, reply.json) == (
        401,
        {"error": "AccountTakedown", "message": "Account has been taken down"},
    )
    assert new_events() == []


@pytest.mark.usefixtures("furnished")
async def test_a_deactivated_account_changes_all_but_its_repository(
    pds: Pds, alice: Account, new_events: Recorder
) -> None:
    await make_inactive(pds, alice, "deactivated")
    new_events()
    for change in WRITES.values():
        reply = await change(pds, alice)
        assert reply.json == {"error": "AccountDeactivated", "message": "Account is deactivated"}
    assert new_events() == []
    for name, change in PRIVATE_CHANGES.items():
        assert (await change(pds, alice)).status == 200, name
    assert kinds_of(new_events()) == ["identity"]


@pytest.mark.usefixtures("furnished")
async def test_a_takedown_weighs_more_than_a_deactivation(pds: Pds, alice: Account) -> None:
    await make_inactive(pds, alice, "deactivated")
    await make_inactive(pds, alice, "takendown")
    assert (await pds.get(f"{SYNC}.getRepo", did=alice.did)).error == (400, "RepoTakendown")
    status = (await pds.get(f"{SYNC}.getRepoStatus", did=alice.did)).json
    assert status["status"] == "takendown"
    assert (await write_note(pds, alice, "createRecord", record={})).json["error"] == (
        "AccountTakedown"
    )
    await update_account(pds, alice, takedown=REVERSED)
    assert (await pds.get(f"{SYNC}.getRepo", did=alice.did)).error == (400, "RepoDeactivated")


async def test_a_takedown_is_told_and_leaves_the_events_before_it(
    pds: Pds, alice: Account, furnished: dict[str, Any]
) -> None:
    await make_inactive(pds, alice, "takendown")
    last = pds.ctx.sequencer.current_seq
    async with subscribed(pds, cursor=0) as consumer:
        messages = await consumer.until(last)
    assert [message.kind for message in messages] == [
        *("#identity", "#account", "#commit", "#sync"),
        *("#commit", "#account"),
    ]
    _, blocks = read_car(messages[4].body["blocks"])
    assert Cid.parse(furnished["cids"]) in blocks
    assert messages[5].body["status"] == "takendown"


# --- Records


async def test_a_record_that_is_taken_down_is_hidden_from_everyone(
    pds: Pds, alice: Account, furnished: dict[str, Any]
) -> None:
    await take_record_down(pds, furnished)
    for headers in (None, alice.auth, pds.admin):
        for cid in ({}, {"cid": furnished["cids"]}):
            reply = await get_note(pds, alice, headers, **cid)
            assert (reply.status, reply.json) == (
                400,
                {
                    "error": "RecordNotFound",
                    "message": f"Could not locate record: at://{alice.did}/{NOTE}/one",
                },
            )


async def test_a_record_that_is_taken_down_stays_in_repository_and_firehose(
    pds: Pds, alice: Account, furnished: dict[str, Any]
) -> None:
    log = read_events(pds)
    await take_record_down(pds, furnished)
    assert read_events(pds) == log
    cid = Cid.parse(furnished["cids"])
    for reply in (
        await pds.get(f"{SYNC}.getRepo", did=alice.did),
        await pds.get(f"{SYNC}.getRecord", did=alice.did, collection=NOTE, rkey="one"),
        await pds.get(f"{SYNC}.getBlocks", did=alice.did, cids=furnished["cids"]),
    ):
        assert cid in read_car(reply.body)[1]
    assert (await pds.get(f"{SYNC}.getBlob", did=alice.did, cid=furnished["cid"])).status == 200
    assert await listed(pds, alice) == [furnished["cid"]]
    described = await pds.get(f"{REPO}.describeRepo", repo=alice.did)
    assert described.json["collections"] == [NOTE]


async def test_the_writer_of_a_record_that_is_taken_down_changes_and_deletes_it(
    pds: Pds, alice: Account, furnished: dict[str, Any]
) -> None:
    """It stays hidden as long as it is there; what is written in its place later is not."""
    subject = await take_record_down(pds, furnished)
    taken = await write_note(pds, alice, "createRecord", rkey="one", record={})
    assert taken.error == (400, "RecordAlreadyExists")
    changed = await write_note(pds, alice, "putRecord", rkey="one", record={"text": "changed"})
    assert changed.status == 200
    assert (await get_note(pds, alice)).error == (400, "RecordNotFound")
    status = await pds.get(STATUS, pds.admin, uri=subject["uri"])
    assert status.json["takedown"] == applied("case-1")
    assert (await write_note(pds, alice, "deleteRecord", rkey="one")).status == 200
    again = await write_note(pds, alice, "createRecord", rkey="one", record={"text": "new"})
    assert again.status == 200
    assert (await get_note(pds, alice)).json["value"]["text"] == "new"


async def test_a_page_of_records_leaves_out_what_is_taken_down(
    pds: Pds, alice: Account, furnished: dict[str, Any]
) -> None:
    for rkey in ("three", "two"):
        await pds.create_record(alice, NOTE, {}, rkey=rkey)
    await take_record_down(pds, furnished)
    reply = await pds.get(f"{REPO}.listRecords", repo=alice.did, collection=NOTE, limit=2)
    assert [one["uri"].rpartition("/")[2] for one in reply.json["records"]] == ["two", "three"]


# --- Blobs


async def test_the_bytes_of_a_blob_that_is_taken_down_go_into_quarantine(
    pds: Pds, alice: Account, new_events: Recorder
) -> None:
    blob = await uploaded(pds, alice)
    await pds.create_record(alice, NOTE, {"picture": blob}, rkey="one")
    new_events()
    subject = await take_blob_down(pds, alice, blob)
    for headers in (None, alice.auth, pds.admin):
        hidden = await fetch(pds, alice, blob, headers)
        assert hidden.json == {"error": "InvalidRequest", "message": "Blob not found"}
    (kept,) = files(pds)
    assert kept.parts[-3:] == ("quarantine", alice.did, blob["ref"]["$link"])
    assert await listed(pds, alice) == [blob["ref"]["$link"]]
    assert new_events() == []
    # Once more changes nothing, neither to nor fro.
    await take_blob_down(pds, alice, blob)
    for _ in range(2):
        assert (await update(pds, subject, takedown=REVERSED)).status == 200
        assert (await fetch(pds, alice, blob)).status == 200


async def test_no_record_refers_to_a_blob_that_is_taken_down(pds: Pds, alice: Account) -> None:
    permanent, temporary = (
        await uploaded(pds, alice, b"permanent", "text/plain"),
        await uploaded(pds, alice, b"temporary", "text/plain"),
    )
    await pds.create_record(alice, NOTE, {"picture": permanent}, rkey="one")
    for blob in (permanent, temporary):
        subject = await take_blob_down(pds, alice, blob)
        for method, rkey in (("createRecord", "two"), ("putRecord", "one")):
            record = {"picture": blob, "text": "again"}
            reply = await write_note(pds, alice, method, rkey=rkey, record=record)
            assert reply.json == {
                "error": "BlobNotFound",
                "message": f"Could not find blob: {blob['ref']['$link']}",
            }
        await update(pds, subject, takedown=REVERSED)
        record = {"picture": blob, "text": "allowed"}
        reply = await write_note(pds, alice, "putRecord", rkey="two", record=record)
        assert reply.status == 200
        assert (await fetch(pds, alice, blob)).status == 200


async def take_record_down(pds: Pds, furnished: dict[str, Any]) -> dict[str, Any]:
    """Take the furnished record down; return it as a subject."""
    uri = f"at://{furnished['did']}/{NOTE}/one"
    subject = {"$type": f"{REPO}.strongRef", "uri": uri, "cid": furnished["cids"]}
    assert (await update(pds, subject, takedown=applied("case-1"))).status == 200
    return subject


async def take_blob_down(pds: Pds, account: Account, blob: Any) -> dict[str, Any]:
    """Take a blob down; return it as a subject."""
    cid = blob["ref"]["$link"]
    subject = {"$type": "com.atproto.admin.defs#repoBlobRef", "did": account.did, "cid": cid}
    assert (await update(pds, subject, takedown=applied("case-2"))).status == 200
    return subject
