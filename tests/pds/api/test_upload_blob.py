"""com.atproto.repo.uploadBlob: media types, limits, who may."""

from __future__ import annotations

import gzip
import socket
import time
import zlib
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from pds.lifecycle.states import delete_account
from pds.service_auth.jwt import create_service_jwt
from repo.cid import Cid
from repo.keys import K256PrivateKey, PrivateKey
from repo.syntax import Did
from tests.pds.api.blobs import PNG, fetch, files, uploaded
from tests.pds.api.records import create, deactivate, moderate, repo_subject
from tests.pds.conftest import Account, Pds, Reply

UPLOAD = "com.atproto.repo.uploadBlob"
LIMIT = 100_000


@pytest.fixture
def pds_environ() -> dict[str, str]:
    return {"PDS_BLOB_UPLOAD_LIMIT": str(LIMIT)}


async def send(pds: Pds, data: Any, **headers: str) -> Reply:
    return await pds.request("POST", f"/xrpc/{UPLOAD}", headers=headers, data=data)


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
    await pds.ctx.actor_store.blob_files.settle()
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
    await delete_account(pds.ctx, Did(alice.did))
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
