"""com.atproto.repo.uploadBlob, and what becomes of an upload: getBlob, listBlobs, clean-up."""

from __future__ import annotations

import gzip
import socket
import time
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from pds.accounts.service_jwt import create_service_jwt
from repo.cid import Cid
from repo.keys import K256PrivateKey, PrivateKey
from tests.pds.api.exports import nothing_changes
from tests.pds.api.records import (
    NOTE,
    PROFILE,
    apply,
    create,
    creates,
    deactivate,
    delete,
    get,
    latest_commit,
    moderate,
    put,
    repo_subject,
    updates,
)
from tests.pds.conftest import Account, Pds, Reply

UPLOAD = "com.atproto.repo.uploadBlob"
GET_BLOB = "com.atproto.sync.getBlob"
LIST_BLOBS = "com.atproto.sync.listBlobs"
LIMIT = 100_000
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(60))


@pytest.fixture
def pds_environ() -> dict[str, str]:
    return {"PDS_BLOB_UPLOAD_LIMIT": str(LIMIT)}


async def send(pds: Pds, data: Any, **headers: str) -> Reply:
    return await pds.request("POST", f"/xrpc/{UPLOAD}", headers=headers, data=data)


async def uploaded(pds: Pds, account: Account, data: bytes = PNG, kind: str = "image/png") -> Any:
    reply = await pds.upload(account, data, kind)
    assert reply.status == 200, reply.body
    return reply.json["blob"]


async def fetch(pds: Pds, account: Account, blob: Any, headers: Any = None) -> Reply:
    return await pds.get(GET_BLOB, headers, did=account.did, cid=blob["ref"]["$link"])


async def listed(pds: Pds, account: Account, **params: Any) -> list[str]:
    cids: list[str] = (await pds.get(LIST_BLOBS, did=account.did, **params)).json["cids"]
    return cids


def files(pds: Pds) -> list[Path]:
    """Every file of the blob store: permanent, temporary, in quarantine."""
    root = pds.ctx.settings.blob_directory
    assert root is not None
    return [path for path in root.rglob("*") if path.is_file()]


async def test_output_is_a_typed_blob(pds: Pds, alice: Account) -> None:
    assert await uploaded(pds, alice) == {
        "$type": "blob",
        "ref": {"$link": str(Cid.of_raw(PNG))},
        "mimeType": "image/png",
        "size": len(PNG),
    }


@pytest.mark.parametrize(
    ("data", "sent", "kept"),
    [
        (PNG, "text/plain", "image/png"),
        (PNG, "*/*", "image/png"),
        (b"\xff\xd8\xff\xe0" + bytes(40), "application/octet-stream", "image/jpeg"),
        (b"hello", "text/plain; charset=utf-8", "text/plain"),
        (b'{"a":1}', "application/json", "application/json"),
        (b"<svg xmlns='x'/>", "image/svg+xml", "image/svg+xml"),
        (b"<script>alert(1)</script>", "text/html", "text/html"),
        (b"hello", "*/*", "*/*"),
        (b"", "image/png", "image/png"),
    ],
)
async def test_first_bytes_decide_the_media_type(
    pds: Pds, alice: Account, data: bytes, sent: str, kept: str
) -> None:
    assert (await uploaded(pds, alice, data, sent))["mimeType"] == kept


async def test_upload_may_have_just_the_limit(pds: Pds, alice: Account) -> None:
    assert (await uploaded(pds, alice, bytes(LIMIT)))["size"] == LIMIT


async def test_larger_upload_is_refused_and_leaves_nothing(pds: Pds, alice: Account) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(LIMIT // 10_000 + 1):
            yield bytes(10_000)

    kind = {"Content-Type": "image/png"}
    for data in (bytes(LIMIT + 1), chunks()):
        reply = await send(pds, data, **alice.auth, **kind)
        assert reply.error == (413, "PayloadTooLarge")
        assert reply.json["message"] == "request entity too large"
    bomb = gzip.compress(bytes(LIMIT * 100))
    assert len(bomb) < LIMIT
    reply = await send(pds, bomb, **alice.auth, **kind, **{"Content-Encoding": "gzip"})
    assert reply.error == (413, "PayloadTooLarge")
    assert files(pds) == []


@pytest.mark.parametrize(
    ("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)]
)
async def test_compressed_upload_is_kept_uncompressed(
    pds: Pds, alice: Account, encoding: str, compress: Any
) -> None:
    headers = {**alice.auth, "Content-Type": "image/png", "Content-Encoding": encoding}
    reply = await send(pds, compress(PNG), **headers)
    assert reply.json["blob"]["ref"]["$link"] == str(Cid.of_raw(PNG))


async def test_unknown_content_encoding_is_refused(pds: Pds, alice: Account) -> None:
    headers = {**alice.auth, "Content-Type": "image/png", "Content-Encoding": "rot13"}
    reply = await send(pds, PNG, **headers)
    assert reply.error == (415, "UnsupportedMediaType")
    assert reply.json["message"] == "unsupported content-encoding"
    assert files(pds) == []


async def test_damaged_compression_is_the_clients_fault(pds: Pds, alice: Account) -> None:
    for encoding in ("gzip", "deflate"):
        headers = {**alice.auth, "Content-Type": "image/png", "Content-Encoding": encoding}
        reply = await send(pds, b"this is no such thing", **headers)
        assert reply.error == (400, "InvalidRequest")
    assert files(pds) == []


async def test_media_type_is_required(pds: Pds, alice: Account) -> None:
    # aiohttp's client adds a type of its own unless told not to.
    async with pds.http.post(
        f"{pds.url}/xrpc/{UPLOAD}",
        data=b"hi",
        headers=alice.auth,
        skip_auto_headers=["Content-Type"],
    ) as response:
        assert response.status == 400
        body = await response.json()
    assert body["message"] == "Request encoding (Content-Type) required but not provided"


async def test_client_that_leaves_midway_leaves_nothing(pds: Pds, alice: Account) -> None:
    address = urlsplit(pds.url)
    with socket.create_connection((address.hostname, address.port)) as client:
        client.sendall(
            f"POST /xrpc/{UPLOAD} HTTP/1.1\r\nHost: x\r\nContent-Length: 90000\r\n"
            f"Content-Type: image/png\r\nAuthorization: Bearer {alice.access_jwt}\r\n\r\n".encode()
            + bytes(1000)
        )
    # Served after the request that broke off has been read.
    assert (await uploaded(pds, alice))["size"] == len(PNG)
    await pds.ctx.actor_store.settle()
    assert len(files(pds)) == 1


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ({}, (401, "AuthMissing")),
        ({"Authorization": "Bearer junk"}, (400, "InvalidToken")),
        ({"Authorization": "Bearer a.b.c"}, (400, "InvalidToken")),
        ({"Authorization": "Basic YWRtaW46YWRtaW4tcGFzcw=="}, (400, "InvalidToken")),
        ({"Authorization": "Bearer"}, (400, "InvalidToken")),
    ],
)
async def test_upload_needs_a_token(
    pds: Pds, headers: dict[str, str], error: tuple[int, str]
) -> None:
    reply = await send(pds, PNG, **headers, **{"Content-Type": "image/png"})
    assert reply.error == error
    assert files(pds) == []


async def test_refresh_token_is_no_access_token(pds: Pds, alice: Account) -> None:
    reply = await send(pds, PNG, **alice.refresh_auth, **{"Content-Type": "image/png"})
    assert reply.error == (400, "InvalidToken")


def service_token(pds: Pds, account: Account, **changes: Any) -> dict[str, str]:
    """A token that the account's repo key signed for uploadBlob, but for `changes`."""
    key: PrivateKey = changes.pop("key", None) or pds.ctx.actor_store.key(account.did)
    claims: dict[str, Any] = {
        "iss": account.did,
        "aud": pds.ctx.settings.service_did,
        "lxm": UPLOAD,
        "now_s": int(time.time()),
    }
    token = create_service_jwt(key, **{**claims, **changes})
    return {"Authorization": f"Bearer {token}", "Content-Type": "image/png"}


async def test_service_token_of_the_account_uploads_for_it(pds: Pds, alice: Account) -> None:
    reply = await send(pds, PNG, **service_token(pds, alice))
    assert reply.status == 200, reply.body
    await create(pds, alice, {"blob": reply.json["blob"]})
    assert (await fetch(pds, alice, reply.json["blob"])).body == PNG


async def test_service_token_made_for_something_else_is_refused(
    pds: Pds, alice: Account, bob: Account
) -> None:
    for changes, name in (
        ({"lxm": "com.atproto.repo.createRecord"}, "BadJwtLexiconMethod"),
        ({"aud": "did:web:elsewhere.test"}, "BadJwtAudience"),
        ({"now_s": int(time.time()) - 3600}, "JwtExpired"),
        ({"key": K256PrivateKey.generate()}, "BadJwtSignature"),
        ({"key": pds.ctx.actor_store.key(bob.did)}, "BadJwtSignature"),
        ({"iss": "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"}, "AuthenticationRequired"),
    ):
        reply = await send(pds, PNG, **service_token(pds, alice, **changes))
        assert (reply.status, reply.json["error"]) == (401, name)
    assert files(pds) == []


async def test_service_token_of_a_stranger_stores_nothing(pds: Pds, alice: Account) -> None:
    """A DID that can be resolved, but has no repository here."""
    headers = service_token(pds, alice)
    await pds.ctx.actor_store.destroy(alice.did)
    reply = await send(pds, PNG, **headers)
    assert reply.error == (400, "RepoNotFound")
    assert files(pds) == []


async def test_deactivated_account_may_upload_and_one_taken_down_may_not(
    pds: Pds, alice: Account
) -> None:
    await deactivate(pds, alice)
    assert (await pds.upload(alice, PNG)).status == 200
    await moderate(pds, repo_subject(alice), takedown=True)
    assert (await pds.upload(alice, PNG)).error == (401, "AccountTakedown")


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
    for data in (bytes(range(256)) * (LIMIT // 256), b""):
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
    await pds.ctx.actor_store.settle()
    assert (await fetch(pds, alice, blob)).body == PNG
    await put(pds, alice, "two", {"no": "blob"})
    await pds.ctx.actor_store.settle()
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
    await pds.ctx.actor_store.settle()
    assert (await fetch(pds, alice, blob)).body == PNG


async def test_same_bytes_uploaded_twice_are_kept_once(pds: Pds, alice: Account) -> None:
    blob = await uploaded(pds, alice)
    # The first upload's type stays.
    assert await uploaded(pds, alice, PNG, "image/gif") == blob
    await create(pds, alice, {"blob": blob})
    await uploaded(pds, alice)
    await pds.ctx.actor_store.settle()
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
