"""What becomes of an upload: references from records, getBlob, listBlobs, clean-up."""

from __future__ import annotations

from typing import Any

import pytest

from repo.cid import Cid
from tests.pds.api.blobs import GET_BLOB, LIST_BLOBS, PNG, fetch, files, listed, uploaded
from tests.pds.api.exports import nothing_changes
from tests.pds.api.records import (
    NOTE,
    PROFILE,
    apply,
    create,
    creates,
    delete,
    get,
    latest_commit,
    moderate,
    put,
    updates,
)
from tests.pds.conftest import Account, Pds


async def test_blob_is_served_and_listed_once_a_record_refers_to_it(
    pds: Pds, alice: Account
) -> None:
    blob = await uploaded(pds, alice)
    assert (await fetch(pds, alice, blob)).json["message"] == "Blob not found"
    assert await listed(pds, alice) == []
    await put(pds, alice, "self", {"avatar": blob}, PROFILE)
    assert (await fetch(pds, alice, blob)).body == PNG
    assert await listed(pds, alice) == [blob["ref"]["$link"]]
    assert len(files(pds)) == 1


async def test_blob_is_served_so_that_no_browser_runs_it(pds: Pds, alice: Account) -> None:
    for data, sent, kept in (
        (b"<script>alert(1)</script>", "text/html", "text/html; charset=utf-8"),
        (PNG, "image/png", "image/png"),
        (b"{}", "application/json", "application/json; charset=utf-8"),
    ):
        blob = await uploaded(pds, alice, data, sent)
        await create(pds, alice, {"blob": blob})
        reply = await fetch(pds, alice, blob)
        cid = blob["ref"]["$link"]
        assert reply.headers["Content-Type"] == kept
        assert reply.headers["Content-Length"] == str(len(data))
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.headers["Content-Disposition"] == f'attachment; filename="{cid}"'
        assert reply.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
        assert reply.headers["Access-Control-Allow-Origin"] == "*"
        head = await pds.request("HEAD", f"/xrpc/{GET_BLOB}?did={alice.did}&cid={cid}")
        assert (head.status, head.body) == (200, b"")
        assert head.headers["Content-Length"] == str(len(data))


async def test_large_and_empty_blobs_come_back_whole(pds: Pds, alice: Account) -> None:
    for data in (bytes(range(256)) * 4_000, b""):
        blob = await uploaded(pds, alice, data, "application/octet-stream")
        assert (await create(pds, alice, {"blob": blob})).status == 200
        reply = await fetch(pds, alice, blob)
        assert (reply.status, reply.body) == (200, data)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"size": 5}, "InvalidSize"),
        ({"mimeType": "image/jpeg"}, "InvalidMimeType"),
        ({"ref": {"$link": str(Cid.of_raw(b"never uploaded"))}}, "BlobNotFound"),
    ],
)
async def test_reference_must_match_the_upload(
    pds: Pds, alice: Account, changes: dict[str, Any], error: str
) -> None:
    blob = {**await uploaded(pds, alice), **changes}
    async with nothing_changes(pds, alice):
        assert (await create(pds, alice, {"deep": [{"er": blob}]})).error == (400, error)
        assert (await apply(pds, alice, creates({"n": 1}), creates({"b": blob}))).error == (
            400,
            error,
        )
    # Nothing is used up by the attempts.
    assert (await create(pds, alice, {"blob": await uploaded(pds, alice)})).status == 200


async def test_permanent_blob_is_not_compared_again(pds: Pds, alice: Account) -> None:
    blob = await uploaded(pds, alice)
    await create(pds, alice, {"blob": blob})
    assert (await create(pds, alice, {"blob": {**blob, "size": 5}})).status == 200


async def test_blob_must_suit_the_lexicon_of_the_record(pds: Pds, alice: Account) -> None:
    text = await uploaded(pds, alice, b"hello", "text/plain")
    async with nothing_changes(pds, alice):
        reply = await put(pds, alice, "self", {"avatar": text}, PROFILE)
        assert reply.error == (400, "InvalidRequest")
        assert 'Expected one of "image/png" or "image/jpeg"' in reply.json["message"]
        large = {**await uploaded(pds, alice), "size": 10_000_000}
        reply = await put(pds, alice, "self", {"avatar": large}, PROFILE)
        assert "blob too big (maximum 1000000, got 10000000)" in reply.json["message"]


async def test_blob_of_another_account_is_not_found(pds: Pds, alice: Account, bob: Account) -> None:
    blob = await uploaded(pds, alice)
    assert (await create(pds, bob, {"blob": blob})).error == (400, "BlobNotFound")
    await create(pds, alice, {"blob": blob})
    assert (await fetch(pds, bob, blob)).error == (400, "InvalidRequest")


async def test_bytes_go_with_the_last_record_that_refers_to_them(pds: Pds, alice: Account) -> None:
    blob = await uploaded(pds, alice)
    for rkey in ("one", "two"):
        await create(pds, alice, {"blob": blob}, rkey=rkey)
    await delete(pds, alice, "one")
    await pds.ctx.actor_store.blob_files.settle()
    assert (await fetch(pds, alice, blob)).body == PNG
    await put(pds, alice, "two", {"no": "blob"})
    await pds.ctx.actor_store.blob_files.settle()
    assert files(pds) == []
    assert (await fetch(pds, alice, blob)).json["message"] == "Blob not found"
    assert await listed(pds, alice) == []
    # A record that wants it back needs a new upload.
    assert (await create(pds, alice, {"blob": blob})).error == (400, "BlobNotFound")
    await create(pds, alice, {"blob": await uploaded(pds, alice)})
    assert (await fetch(pds, alice, blob)).body == PNG


async def test_blob_that_moves_within_one_commit_stays(pds: Pds, alice: Account) -> None:
    blob = await uploaded(pds, alice)
    await create(pds, alice, {"blob": blob}, rkey="one")
    reply = await apply(pds, alice, updates("one", {"no": "blob"}), creates({"blob": blob}, "two"))
    assert reply.status == 200
    await pds.ctx.actor_store.blob_files.settle()
    assert (await fetch(pds, alice, blob)).body == PNG


async def test_same_bytes_uploaded_twice_are_kept_once(pds: Pds, alice: Account) -> None:
    blob = await uploaded(pds, alice)
    # The first upload's type stays.
    assert await uploaded(pds, alice, PNG, "image/gif") == blob
    await create(pds, alice, {"blob": blob})
    await uploaded(pds, alice)
    await pds.ctx.actor_store.blob_files.settle()
    assert len(files(pds)) == 1
    assert (await fetch(pds, alice, blob)).body == PNG


async def test_failed_commit_does_not_use_the_upload_up(pds: Pds, alice: Account) -> None:
    blob = await uploaded(pds, alice)
    wrong = str(Cid.of_dag_cbor(b"\xa0"))
    reply = await create(pds, alice, {"blob": blob}, rkey="one", swapCommit=wrong)
    assert reply.error == (400, "InvalidSwap")
    assert (await create(pds, alice, {"blob": blob}, rkey="one")).status == 200
    assert (await fetch(pds, alice, blob)).body == PNG


async def test_blob_that_is_taken_down(pds: Pds, alice: Account) -> None:
    blob = await uploaded(pds, alice)
    await create(pds, alice, {"blob": blob}, rkey="one")
    subject = {
        "$type": "com.atproto.admin.defs#repoBlobRef",
        "did": alice.did,
        "cid": blob["ref"]["$link"],
    }
    await moderate(pds, subject, takedown=True)
    assert (await fetch(pds, alice, blob, alice.auth)).json["message"] == "Blob not found"
    again = await pds.upload(alice, PNG)
    assert again.error == (400, "InvalidRequest")
    assert again.json["message"] == "Blob has been takendown, cannot re-upload"
    assert (await create(pds, alice, {"blob": blob})).error == (400, "BlobNotFound")
    assert (await get(pds, alice, "one")).status == 200
    await moderate(pds, subject, takedown=False)
    assert (await fetch(pds, alice, blob)).body == PNG


async def test_list_pages_by_cid_and_filters_by_rev(pds: Pds, alice: Account) -> None:
    blobs = [await uploaded(pds, alice, b"%d" % n, "text/plain") for n in range(7)]
    for blob in blobs[:4]:
        await create(pds, alice, {"blob": blob})
    rev = (await latest_commit(pds, alice))["rev"]
    for blob in blobs[4:]:
        await create(pds, alice, {"blob": blob})
    cids = [blob["ref"]["$link"] for blob in blobs]
    assert await listed(pds, alice) == sorted(cids)
    assert await listed(pds, alice, since=rev) == sorted(cids[4:])
    first = await pds.get(LIST_BLOBS, did=alice.did, limit=3)
    assert first.json == {"cids": sorted(cids)[:3], "cursor": sorted(cids)[2]}
    rest = await pds.get(LIST_BLOBS, did=alice.did, cursor=first.json["cursor"])
    assert rest.json == {"cids": sorted(cids)[3:], "cursor": sorted(cids)[6]}
    last = await pds.get(LIST_BLOBS, did=alice.did, cursor=rest.json["cursor"])
    assert last.json == {"cids": []}


async def test_list_since_counts_the_rev_of_the_last_write(pds: Pds, alice: Account) -> None:
    blob = await uploaded(pds, alice)
    await create(pds, alice, {"blob": blob}, rkey="one")
    rev = (await latest_commit(pds, alice))["rev"]
    await put(pds, alice, "one", {"blob": blob, "n": 1})
    assert await listed(pds, alice, since=rev) == [blob["ref"]["$link"]]


async def test_malformed_cid_is_refused(pds: Pds, alice: Account) -> None:
    reply = await pds.get(GET_BLOB, did=alice.did, cid="zz")
    assert reply.error == (400, "InvalidRequest")
    assert reply.json["message"] == (f'Invalid {GET_BLOB} params: Invalid CID string (got "zz")')
    # A CID of another kind is well-formed, but no blob's.
    other = "QmY7Yh4UquoXHLPFo2XbhXkhBvFoPwmQUSa92pxnxjQuPU"
    reply = await pds.get(GET_BLOB, did=alice.did, cid=other)
    assert reply.error == (400, "InvalidRequest")
    # A record's CID is no blob's either.
    record = (await create(pds, alice, {"collection": NOTE})).json["cid"]
    reply = await pds.get(GET_BLOB, did=alice.did, cid=record)
    assert reply.json["message"] == "Blob not found"
