"""A bucket of a real S3 server: objects, copies, listings, multipart uploads."""

from __future__ import annotations

import asyncio
import os
from contextlib import nullcontext, suppress
from dataclasses import replace
from typing import Any

import pytest

from actor_store.blob_store.base import (
    BlobObjectMissing,
    BlobPartsRefused,
    BlobStoreMisconfigured,
    BlobStoreUnavailable,
    BlobUploadMissing,
    InvalidBlobRange,
)
from actor_store.blob_store.s3_bucket import S3Bucket
from actor_store.blob_store.s3_copying import copy_by_parts
from actor_store.blob_store.s3_location import S3Location
from actor_store.blob_store.s3_objects import S3Part
from actor_store.blob_store.s3_uploads import MAX_PARTS, MIN_PART_BYTES
from tests.actor_store.support import collect
from tests.loop_blocks import loop_blocks
from tests.processes import free_port

STRANGE = "tmp/did:plc:abc/a key+with &?=%25/ä~'(1)"


async def read(bucket: S3Bucket, key: str, *, start: int = 0, end: int | None = None) -> bytes:
    stream = await bucket.get(key, start=start, end=end)
    assert stream is not None
    return await collect(aiter(stream))


async def keys(bucket: S3Bucket, prefix: str = "") -> list[str]:
    return [found.key async for found in bucket.list(prefix)]


@pytest.mark.parametrize("key", ["a", STRANGE])
async def test_an_object_is_read_back(bucket: S3Bucket, key: str) -> None:
    await bucket.put(key, b"some bytes")
    assert await read(bucket, key) == b"some bytes"
    info = await bucket.head(key)
    assert info is not None
    assert (info.key, info.size) == (key, 10)


async def test_an_absent_object_is_none(bucket: S3Bucket) -> None:
    assert await bucket.head("absent") is None
    assert await bucket.get("absent") is None


@pytest.mark.parametrize(
    ("start", "end", "found"), [(0, 3, b"012"), (3, None, b"3456789"), (8, 99, b"89")]
)
async def test_a_range_is_read(bucket: S3Bucket, start: int, end: int | None, found: bytes) -> None:
    await bucket.put("a", b"0123456789")
    assert await read(bucket, "a", start=start, end=end) == found


async def test_a_range_past_the_end_is_refused(bucket: S3Bucket) -> None:
    await bucket.put("a", b"0123456789")
    with pytest.raises(InvalidBlobRange):
        await bucket.get("a", start=10)


async def test_a_copy_leaves_the_source_and_says_if_there_is_none(bucket: S3Bucket) -> None:
    await bucket.put(STRANGE, b"bytes")
    assert await bucket.copy(STRANGE, "b")
    assert await read(bucket, "b") == await read(bucket, STRANGE) == b"bytes"
    assert not await bucket.copy("absent", "c")
    assert not await bucket.copy("absent", "c", size=5)
    assert await keys(bucket, "c") == []


async def test_a_large_object_is_copied_by_parts(bucket: S3Bucket) -> None:
    data = os.urandom(2 * MIN_PART_BYTES + 7)
    await bucket.put("large", data)
    await copy_by_parts(bucket.uploads, "large", "copy", size=len(data), part_bytes=MIN_PART_BYTES)
    assert await read(bucket, "copy") == data


async def test_a_failed_copy_by_parts_leaves_nothing(bucket: S3Bucket) -> None:
    with pytest.raises(BlobObjectMissing):
        await copy_by_parts(bucket.uploads, "absent", "copy", size=12_000_000)
    assert await keys(bucket) == []
    assert [found async for found in bucket.uploads.list("")] == []


async def test_listing_goes_over_pages_in_order(bucket: S3Bucket) -> None:
    names = [f"many/{number:04}" for number in range(650)]
    await asyncio.gather(*(bucket.put(name, b"x") for name in [*names, "other"]))
    assert await keys(bucket, "many/") == names
    assert [found.key async for found in bucket.list("many/", start_after="many/0640")] == (
        names[641:]
    )


async def test_prefixes_are_listed_up_to_the_next_slash(bucket: S3Bucket) -> None:
    for key in ("tmp/did:plc:a/1", "tmp/did:plc:a/2", "tmp/did:plc:b/1", "blocks/did:plc:c/1"):
        await bucket.put(key, b"x")
    found = [prefix async for prefix in bucket.list_prefixes("tmp/")]
    assert found == ["tmp/did:plc:a/", "tmp/did:plc:b/"]


async def test_more_than_a_batch_is_deleted_and_absent_keys_do_not_matter(
    bucket: S3Bucket,
) -> None:
    names = [f"{number:04}" for number in range(1_010)]
    await asyncio.gather(*(bucket.put(name, b"x") for name in names))
    await bucket.put(STRANGE, b"x")
    await bucket.delete([*names, "absent", STRANGE])
    assert await keys(bucket) == []


async def test_parts_are_joined_in_order_of_their_numbers(bucket: S3Bucket) -> None:
    first, last = os.urandom(MIN_PART_BYTES), b"the rest"
    upload_id = await bucket.uploads.create("joined")
    two = await bucket.uploads.put_part("joined", upload_id, 2, last)
    one = await bucket.uploads.put_part("joined", upload_id, 1, first)
    assert await bucket.head("joined") is None
    assert await bucket.uploads.list_parts("joined", upload_id) == [one, two]
    unquoted = S3Part(2, two.etag.strip('"'))
    await bucket.uploads.complete("joined", upload_id, [unquoted, one])
    assert await read(bucket, "joined") == first + last


async def test_a_part_that_was_not_uploaded_is_refused(bucket: S3Bucket) -> None:
    upload_id = await bucket.uploads.create("joined")
    await bucket.uploads.put_part("joined", upload_id, 1, b"x")
    with pytest.raises(BlobPartsRefused):
        await bucket.uploads.complete("joined", upload_id, [S3Part(1, "0" * 32)])
    assert await bucket.head("joined") is None


async def test_an_aborted_upload_is_gone(bucket: S3Bucket) -> None:
    upload_id = await bucket.uploads.create("a/b")
    listed = [found async for found in bucket.uploads.list("a/")]
    assert [(found.key, found.upload_id) for found in listed] == [("a/b", upload_id)]
    await bucket.uploads.abort("a/b", upload_id)
    assert [found async for found in bucket.uploads.list("a/")] == []
    with pytest.raises(BlobUploadMissing):
        await bucket.uploads.put_part("a/b", upload_id, 1, b"x")


@pytest.mark.parametrize("size", [7, 8])
async def test_an_upload_that_is_gone_was_joined_if_its_object_is_there(
    bucket: S3Bucket, size: int
) -> None:
    """As after a first try whose answer was lost."""
    upload_id = await bucket.uploads.create("joined")
    part = await bucket.uploads.put_part("joined", upload_id, 1, bytes(7))
    await bucket.uploads.abort("joined", upload_id)
    with pytest.raises(BlobUploadMissing):
        await bucket.uploads.complete("joined", upload_id, [part])
    await bucket.put("joined", bytes(size))
    expected = nullcontext() if size == part.size else pytest.raises(BlobUploadMissing)
    with expected:
        await bucket.uploads.complete("joined", upload_id, [part])


@pytest.mark.parametrize(
    ("wrong", "remedy"),
    [
        ({"bucket": "no-such-bucket"}, "PDS_BLOBSTORE_S3_BUCKET"),
        ({"access_key_id": "someone"}, "PDS_BLOBSTORE_S3_ACCESS_KEY_ID"),
        ({"secret_access_key": "wrong"}, "PDS_BLOBSTORE_S3_SECRET_ACCESS_KEY"),
    ],
)
async def test_what_the_operator_must_repair_is_said(
    bucket_location: S3Location, wrong: dict[str, Any], remedy: str
) -> None:
    bucket = S3Bucket(replace(bucket_location, **wrong))
    try:
        for call in (bucket.check(), bucket.put("a", b"x"), bucket.get("a"), bucket.delete(["a"])):
            with pytest.raises(BlobStoreMisconfigured) as raised:
                await call
            assert remedy in raised.value.remedy
    finally:
        await bucket.close()


@pytest.mark.parametrize("path", ["/{bucket}", "/other"])
async def test_an_endpoint_with_a_path_that_is_no_server_is_told(
    bucket_location: S3Location, path: str
) -> None:
    endpoint = f"{bucket_location.endpoint}{path.format(bucket=bucket_location.bucket)}"
    bucket = S3Bucket(replace(bucket_location, endpoint=endpoint))
    try:
        with pytest.raises(BlobStoreMisconfigured) as raised:
            await bucket.check()
        assert "PDS_BLOBSTORE_S3_ENDPOINT" in raised.value.remedy
    finally:
        await bucket.close()


async def test_a_server_that_is_down_is_unavailable(bucket_location: S3Location) -> None:
    down = replace(bucket_location, endpoint=f"http://127.0.0.1:{free_port()}")
    bucket = S3Bucket(down)
    try:
        with pytest.raises(BlobStoreUnavailable):
            await bucket.check()
    finally:
        await bucket.close()


async def test_joining_as_many_parts_as_there_may_be_holds_nothing_up(bucket: S3Bucket) -> None:
    upload_id = await bucket.uploads.create("joined")
    parts = [S3Part(number, "0" * 32) for number in range(1, MAX_PARTS + 1)]
    with loop_blocks() as seen, suppress(BlobPartsRefused, BlobUploadMissing):
        await asyncio.create_task(bucket.uploads.complete("joined", upload_id, parts))
    assert seen.longest_ms < 50, seen.where


async def test_parts_of_uploads_that_end_at_once_are_not_mixed_up(bucket: S3Bucket) -> None:
    async def upload(key: str) -> None:
        upload_id = await bucket.uploads.create(key)
        part = await bucket.uploads.put_part(key, upload_id, 1, key.encode())
        await bucket.uploads.complete(key, upload_id, [part])

    names = [f"joined {number}" for number in range(20)]
    await asyncio.gather(*(upload(name) for name in names))
    assert [await read(bucket, name) for name in names] == [name.encode() for name in names]
