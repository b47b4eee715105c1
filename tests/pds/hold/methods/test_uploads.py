"""Uploads over HTTP, with the stores that an operator may choose."""

from __future__ import annotations

import asyncio
import gzip
import os
from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

import orjson
import pytest

from actor_store.blob_store.base import BlobStoreFull, BlobStoreUnavailable
from pds.hold.hold import Hold
from pds.hold.oci.upload_rows import MAX_OPEN_EACH
from pds.hold.permissions import Permission
from repo.syntax import Did
from tests.loop_blocks import loop_blocks
from tests.pds.conftest import Account, Pds
from tests.pds.hold.registry import Registry, digest_of, member

LARGE = os.urandom(5 * 1024 * 1024)
UPLOAD_PART = "/xrpc/io.atcr.hold.uploadPart"


async def test_a_blob_comes_by_parts_and_is_fetched(writer: Registry) -> None:
    digest = await writer.push(LARGE, LARGE[::-1], b"end")
    assert await writer.fetch(digest) == LARGE + LARGE[::-1] + b"end"


@pytest.mark.parametrize("store", ["disk"])
async def test_who_may_not_write_uploads_nothing(
    outsider: Registry, nobody: Registry, pds: Pds, hold: Hold, alice: Account
) -> None:
    reader = await member(pds, hold, alice, [Permission.READ])
    for caller, refusal in (
        (outsider, (403, "Forbidden")),
        (nobody, (401, "AuthMissing")),
        (reader, (403, "Forbidden")),
    ):
        reply = await caller.call("initiateUpload", digest="x")
        assert reply.error == refusal


async def test_who_leaves_the_crew_cannot_finish(
    writer: Registry, hold: Hold, alice: Account
) -> None:
    upload_id = await writer.begin()
    part = await writer.send(upload_id, 1, b"bytes")
    await hold.crew.remove(Did(alice.did))
    body = {"uploadId": upload_id, "digest": digest_of(b"bytes"), "parts": [part]}
    assert (await writer.call("completeUpload", **body)).error == (403, "Forbidden")
    place = await writer.call("getPartUploadUrl", uploadId=upload_id, partNumber=2)
    assert place.error == (403, "Forbidden")
    assert [blob async for blob in hold.oci.storage.list()] == []


@pytest.mark.parametrize("store", ["disk"])
async def test_who_leaves_the_crew_while_a_part_arrives_is_told(
    writer: Registry, pds: Pds, hold: Hold, alice: Account, first_check: asyncio.Event
) -> None:
    upload_id = await writer.begin()
    first_check.clear()

    async def leave() -> AsyncIterator[bytes]:
        yield b"first"
        await first_check.wait()
        await hold.crew.remove(Did(alice.did))
        yield b"last"

    headers = {**writer.auth, "X-Upload-Id": upload_id, "X-Part-Number": "1"}
    reply = await pds.request("PUT", UPLOAD_PART, headers=headers, data=leave())
    assert reply.error == (403, "Forbidden")


@pytest.mark.parametrize("store", ["disk"])
async def test_an_upload_begins_with_any_short_text(writer: Registry) -> None:
    assert (await writer.call("initiateUpload", digest="x" * 128)).status == 200
    for digest in ("", "x" * 129):
        assert (await writer.call("initiateUpload", digest=digest)).error == (400, "InvalidDigest")


async def test_refusals_have_the_names_of_the_lexicon(
    writer: Registry, pds: Pds, hold: Hold, bob: Account
) -> None:
    upload_id = await writer.begin()
    part = await writer.send(upload_id, 1, b"bytes")
    whole = {"uploadId": upload_id, "digest": digest_of(b"bytes"), "parts": [part]}
    other = await member(pds, hold, bob)
    cases: list[tuple[Registry, str, dict[str, Any], str]] = [
        (writer, "getPartUploadUrl", {"uploadId": "x", "partNumber": 1}, "InvalidUploadId"),
        (writer, "getPartUploadUrl", {"uploadId": upload_id, "partNumber": 0}, "InvalidPartNumber"),
        (
            writer,
            "getPartUploadUrl",
            {"uploadId": upload_id, "partNumber": 10_001},
            "InvalidPartNumber",
        ),
        (writer, "completeUpload", whole | {"digest": "sha256:abc"}, "InvalidDigest"),
        (writer, "completeUpload", whole | {"digest": "SHA256:" + "a" * 64}, "InvalidDigest"),
        (writer, "completeUpload", whole | {"parts": []}, "MissingParts"),
        (writer, "completeUpload", whole | {"parts": [part, part]}, "CompletionFailed"),
        (
            writer,
            "completeUpload",
            whole | {"parts": [part | {"partNumber": 2}]},
            "MissingParts",
        ),
        (other, "completeUpload", whole, "InvalidUploadId"),
        (other, "abortUpload", {"uploadId": upload_id}, "InvalidUploadId"),
        (writer, "abortUpload", {"uploadId": "x"}, "InvalidUploadId"),
        (writer, "completeUpload", whole | {"digest": digest_of(b"other")}, "InvalidDigest"),
    ]
    for caller, name, body, error in cases:
        assert (await caller.call(name, **body)).error == (400, error), (name, body)


async def test_an_aborted_upload_is_gone(writer: Registry) -> None:
    upload_id = await writer.begin()
    reply = await writer.call("abortUpload", uploadId=upload_id)
    assert (reply.status, reply.json) == (200, {"status": "aborted"})
    assert (await writer.call("abortUpload", uploadId=upload_id)).error == (400, "InvalidUploadId")


async def test_a_lost_answer_is_given_again(writer: Registry) -> None:
    upload_id = await writer.begin()
    part = await writer.send(upload_id, 1, b"bytes")
    body = {"uploadId": upload_id, "digest": digest_of(b"bytes"), "parts": [part]}
    first = await writer.call("completeUpload", **body)
    second = await writer.call("completeUpload", **body)
    assert (first.status, first.json) == (second.status, second.json) == (200, first.json)


async def test_a_list_of_ten_thousand_parts_is_read(writer: Registry, pds: Pds) -> None:
    upload_id = await writer.begin()
    parts = [{"partNumber": number, "etag": "e" * 256} for number in range(1, 10_001)]
    for named, error in ((parts, "MissingParts"), ([*parts, parts[0]], "InvalidRequest")):
        body = {"uploadId": upload_id, "digest": digest_of(b""), "parts": named}
        reply = await pds.request(
            "POST",
            "/xrpc/io.atcr.hold.completeUpload",
            headers={**writer.auth, "Content-Type": "application/json"},
            data=BytesIO(orjson.dumps(body)),
        )
        assert reply.error == (400, error)


@pytest.mark.parametrize("store", ["disk"])
async def test_unfinished_uploads_of_one_caller_have_a_limit(writer: Registry) -> None:
    first, *_ = [await writer.begin() for _ in range(MAX_OPEN_EACH)]
    assert (await writer.call("initiateUpload", digest="x")).error == (429, "RateLimitExceeded")
    await writer.call("abortUpload", uploadId=first)
    assert (await writer.call("initiateUpload", digest="x")).status == 200


@pytest.mark.parametrize("store", ["disk", "buffered"])
@pytest.mark.parametrize("verb", ["PUT", "POST"])
async def test_a_part_comes_by_put_and_by_post(writer: Registry, pds: Pds, verb: str) -> None:
    upload_id = await writer.begin()
    headers = {**writer.auth, "X-Upload-Id": upload_id, "X-Part-Number": "1"}
    reply = await pds.request(verb, UPLOAD_PART, headers=headers, data=b"bytes")
    assert reply.status == 200
    assert reply.headers["ETag"] == f'"{reply.json["etag"]}"'
    parts = [{"partNumber": 1, "etag": reply.json["etag"]}]
    body = {"uploadId": upload_id, "digest": digest_of(b"bytes"), "parts": parts}
    assert (await writer.call("completeUpload", **body)).status == 200


@pytest.mark.parametrize("store", ["disk"])
async def test_headers_of_a_part_are_checked(writer: Registry, pds: Pds) -> None:
    cases: list[tuple[dict[str, str], str]] = [
        ({}, "InvalidPartNumber"),
        ({"X-Part-Number": "1"}, "InvalidUploadId"),
        ({"X-Part-Number": "0", "X-Upload-Id": "x"}, "InvalidPartNumber"),
        ({"X-Part-Number": "1e3", "X-Upload-Id": "x"}, "InvalidPartNumber"),
        ({"X-Part-Number": "1", "X-Upload-Id": "../../x"}, "InvalidUploadId"),
    ]
    for headers, error in cases:
        named = {**writer.auth, **headers}
        reply = await pds.request("PUT", UPLOAD_PART, headers=named, data=b"bytes")
        assert reply.error == (400, error), headers


@pytest.mark.parametrize("store", ["disk"])
async def test_a_part_is_not_compressed(writer: Registry, pds: Pds) -> None:
    headers = {**writer.auth, "X-Upload-Id": await writer.begin(), "X-Part-Number": "1"}
    data = gzip.compress(bytes(1_000_000))
    for encoding in ("gzip", "deflate", "br", "identity, gzip"):
        coded = {**headers, "Content-Encoding": encoding}
        reply = await pds.request("PUT", UPLOAD_PART, headers=coded, data=data)
        assert reply.status == 415, encoding


@pytest.mark.parametrize("store", ["s3"])
async def test_parts_for_s3_do_not_come_to_the_server(writer: Registry, pds: Pds) -> None:
    upload_id = await writer.begin()
    headers = {**writer.auth, "X-Upload-Id": upload_id, "X-Part-Number": "1"}
    reply = await pds.request("PUT", UPLOAD_PART, headers=headers, data=b"x")
    assert reply.error == (400, "InvalidUploadId")


@pytest.mark.parametrize("store", ["disk"])
async def test_put_is_for_parts_only(writer: Registry, pds: Pds) -> None:
    reply = await pds.request("PUT", "/xrpc/io.atcr.hold.abortUpload", headers=writer.auth)
    assert reply.error == (400, "InvalidRequest")


@pytest.mark.parametrize("store", ["s3"])
async def test_a_store_that_is_down_is_a_passing_failure(
    writer: Registry, hold: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_args: object) -> None:
        raise BlobStoreUnavailable("down")

    upload_id = await writer.begin()
    part = await writer.send(upload_id, 1, b"bytes")
    body = {"uploadId": upload_id, "digest": digest_of(b"bytes"), "parts": [part]}
    monkeypatch.setattr(hold.oci.storage, "join", fail)
    reply = await writer.call("completeUpload", **body)
    assert reply.error == (503, "CompletionFailed")
    assert int(reply.headers["Retry-After"]) > 0
    monkeypatch.setattr(hold.oci.storage, "discard", fail)
    assert (await writer.call("abortUpload", uploadId=upload_id)).error == (503, "AbortFailed")
    monkeypatch.undo()
    assert (await writer.call("completeUpload", **body)).status == 200


@pytest.mark.parametrize("store", ["disk"])
async def test_a_full_disk_refuses_a_part(
    writer: Registry, pds: Pds, hold: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_args: object) -> None:
        raise BlobStoreFull("full")

    headers = {**writer.auth, "X-Upload-Id": await writer.begin(), "X-Part-Number": "1"}
    monkeypatch.setattr(hold.oci.storage, "write_part", fail)
    reply = await pds.request("PUT", UPLOAD_PART, headers=headers, data=b"x")
    assert reply.error == (503, "UploadFailed")


@pytest.mark.parametrize("store", ["s3"])
async def test_64_mb_hold_the_event_loop_no_longer_than_a_moment(
    writer: Registry, pds: Pds
) -> None:
    data = os.urandom(16 * 1024 * 1024)
    pieces = [data] * 4
    digest = digest_of(b"".join(pieces))
    upload_id = await writer.begin()
    parts = [await writer.send(upload_id, number, piece) for number, piece in enumerate(pieces, 1)]
    body = {"uploadId": upload_id, "digest": digest, "parts": parts}
    with loop_blocks() as seen:
        reply = await writer.call("completeUpload", **body)
    assert reply.json == {"status": "completed", "digest": digest}
    assert seen.longest_ms < 50, seen.where
    assert digest_of(await writer.fetch(digest)) == digest
