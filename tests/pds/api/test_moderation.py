"""com.atproto.admin: the state of records, blobs and accounts, and who may change it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.pds.api.moderation import (
    NOTE,
    PNG,
    REVERSED,
    STATUS,
    Recorder,
    applied,
    make_inactive,
    repo_ref,
    update,
    update_account,
)
from tests.pds.conftest import Account, Pds, Reply

# --- Records and blobs


async def test_a_record_that_is_taken_down_is_hidden_but_not_from_the_repository(
    pds: Pds, alice: Account, furnished: dict[str, Any], new_events: Recorder
) -> None:
    subject = _record_ref(furnished)
    repo_before = (await pds.get("com.atproto.sync.getRepo", did=alice.did)).body
    reply = await update(pds, subject, takedown=applied("case-2"))
    assert reply.json == {"subject": subject, "takedown": applied("case-2")}
    hidden = await _get_record(pds, alice)
    assert hidden.error == (400, "RecordNotFound")
    listed = await pds.get("com.atproto.repo.listRecords", repo=alice.did, collection=NOTE)
    assert listed.json == {"records": []}
    assert (await pds.get("com.atproto.sync.getRepo", did=alice.did)).body == repo_before
    assert new_events() == []
    status = (await pds.get(STATUS, pds.admin, uri=subject["uri"])).json
    assert status == {"subject": subject, "takedown": applied("case-2")}
    await update(pds, subject, takedown=REVERSED)
    assert (await _get_record(pds, alice)).status == 200
    status = (await pds.get(STATUS, pds.admin, uri=subject["uri"])).json
    assert status["takedown"] == REVERSED


async def test_a_blob_that_is_taken_down_is_not_served_nor_taken_again(
    pds: Pds, alice: Account, furnished: dict[str, Any]
) -> None:
    subject = _blob_ref(furnished)
    reply = await update(pds, subject, takedown=applied("case-3"))
    assert reply.json == {"subject": subject, "takedown": applied("case-3")}
    place = {"did": alice.did, "cid": furnished["cid"]}
    for headers in (None, alice.auth, pds.admin):
        served = await pds.request(
            "GET", "/xrpc/com.atproto.sync.getBlob", headers=headers, params=place
        )
        assert served.json == {"error": "InvalidRequest", "message": "Blob not found"}
    again = await pds.upload(alice, PNG)
    assert again.json["message"] == "Blob has been takendown, cannot re-upload"
    status = await pds.get(STATUS, pds.admin, did=alice.did, blob=furnished["cid"])
    assert status.json == {"subject": subject, "takedown": applied("case-3")}
    await update(pds, subject, takedown=REVERSED)
    served = await pds.request("GET", "/xrpc/com.atproto.sync.getBlob", params=place)
    assert served.body == PNG


async def test_a_second_takedown_keeps_the_first_reason(
    pds: Pds, alice: Account, furnished: dict[str, Any]
) -> None:
    for subject, place in (
        (repo_ref(alice), {"did": alice.did}),
        (_record_ref(furnished), {"uri": _record_ref(furnished)["uri"]}),
        (_blob_ref(furnished), {"did": alice.did, "blob": furnished["cid"]}),
    ):
        await update(pds, subject, takedown=applied("first"))
        # The answer tells which reason is kept.
        again = await update(pds, subject, takedown=applied("second"))
        assert again.json == {"subject": subject, "takedown": applied("first")}
        without_reason = await update(pds, subject, takedown=applied())
        assert without_reason.json == {"subject": subject, "takedown": applied()}
        status = await pds.get(STATUS, pds.admin, **place)
        assert status.json["takedown"] == applied("first")
        await update(pds, subject, takedown=REVERSED)
        await update(pds, subject, takedown=applied("third"))
        status = await pds.get(STATUS, pds.admin, **place)
        assert status.json["takedown"] == applied("third")
        await update(pds, subject, takedown=REVERSED)


async def test_only_what_is_there_has_a_status(
    pds: Pds, alice: Account, furnished: dict[str, Any]
) -> None:
    unknown = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
    other_cid = furnished["cids"]
    cases: list[tuple[dict[str, str], str, str]] = [
        ({}, "InvalidRequest", "No provided subject"),
        (
            {"blob": furnished["cid"]},
            "InvalidRequest",
            "Must provide a did to request blob state",
        ),
        ({"did": unknown}, "NotFound", "Subject not found"),
        ({"did": unknown, "blob": furnished["cid"]}, "NotFound", "Repo not found"),
        ({"did": alice.did, "blob": other_cid}, "NotFound", "Subject not found"),
        ({"uri": f"at://{unknown}/{NOTE}/one"}, "NotFound", "Repo not found"),
        ({"uri": f"at://{alice.did}/{NOTE}/two"}, "NotFound", "Subject not found"),
    ]
    for params, error, message in cases:
        reply = await pds.request("GET", f"/xrpc/{STATUS}", headers=pds.admin, params=params)
        assert (reply.status, reply.json) == (400, {"error": error, "message": message})


async def test_of_several_subjects_the_smallest_is_looked_up(
    pds: Pds, alice: Account, furnished: dict[str, Any]
) -> None:
    everything = {
        "did": alice.did,
        "uri": f"at://{alice.did}/{NOTE}/one",
        "blob": furnished["cid"],
    }
    kinds = []
    for names in (("did",), ("did", "uri"), ("did", "uri", "blob")):
        params = {name: everything[name] for name in names}
        reply = await pds.request("GET", f"/xrpc/{STATUS}", headers=pds.admin, params=params)
        kinds.append(reply.json["subject"]["$type"])
    assert kinds == [
        "com.atproto.admin.defs#repoRef",
        "com.atproto.repo.strongRef",
        "com.atproto.admin.defs#repoBlobRef",
    ]


async def test_the_status_of_an_account_tells_both_states(pds: Pds, alice: Account) -> None:
    await make_inactive(pds, alice, "deactivated")
    await update_account(pds, alice, takedown=applied("case-4"))
    reply = await pds.get(STATUS, pds.admin, did=alice.did)
    assert reply.json == {
        "subject": repo_ref(alice),
        "takedown": applied("case-4"),
        "deactivated": {"applied": True},
    }


@pytest.mark.parametrize(
    ("subject", "message"),
    [
        ({"$type": "com.example.thing"}, "Invalid subject (com.example.thing)"),
        (
            {
                "$type": "com.atproto.repo.strongRef",
                "uri": "at://did:plc:aaaaaaaaaaaaaaaaaaaaaaaa",
                "cid": "bafkreiccldh766hwcnuxnf2wh6jgzepf2nlu2lvcllt63eww5p6chi4ity",
            },
            "Not the URI of a record: at://did:plc:aaaaaaaaaaaaaaaaaaaaaaaa",
        ),
    ],
)
async def test_other_subjects_are_refused(pds: Pds, subject: dict[str, Any], message: str) -> None:
    reply = await update(pds, subject, takedown=applied())
    assert reply.json == {"error": "InvalidRequest", "message": message}


async def test_subjects_that_are_not_there_are_refused(
    pds: Pds, alice: Account, furnished: dict[str, Any]
) -> None:
    record, blob = _record_ref(furnished), _blob_ref(furnished)
    for subject in (
        {**record, "uri": f"at://{alice.did}/{NOTE}/two"},
        {**record, "uri": f"at://did:plc:aaaaaaaaaaaaaaaaaaaaaaaa/{NOTE}/one"},
        {**blob, "cid": furnished["cids"]},
        {**blob, "did": "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"},
        {**blob, "did": "did:../../etc"},
    ):
        reply = await update(pds, subject, takedown=applied())
        assert reply.status == 400, subject


async def _get_record(pds: Pds, account: Account) -> Reply:
    return await pds.get(
        "com.atproto.repo.getRecord", repo=account.did, collection=NOTE, rkey="one"
    )


def _record_ref(furnished: dict[str, Any]) -> dict[str, Any]:
    uri = f"at://{furnished['did']}/{furnished['collection']}/{furnished['rkey']}"
    return {"$type": "com.atproto.repo.strongRef", "uri": uri, "cid": furnished["cids"]}


def _blob_ref(furnished: dict[str, Any]) -> dict[str, Any]:
    return {
        "$type": "com.atproto.admin.defs#repoBlobRef",
        "did": furnished["did"],
        "cid": furnished["cid"],
    }
