"""What every blob store promises, on disk and on S3 alike."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

import pytest

from actor_store.blob_store.base import (
    HEAD_BYTES,
    BlobFileMissing,
    BlobStore,
    BlobTooLarge,
    InvalidBlobName,
    new_temp_key,
)
from actor_store.blob_store.disk import DiskBlobStore
from actor_store.blob_store.s3 import S3BlobStore
from actor_store.blob_store.s3_bucket import S3Bucket
from actor_store.blob_store.s3_uploads import MIN_PART_BYTES as PART
from repo.cid import Cid
from tests.actor_store.stored_blobs import (
    DID,
    LIMIT,
    OTHER,
    chunked,
    keys_of,
    put,
    put_permanent,
    read,
)
from tests.seaweedfs import SeaweedFs


class Place(Protocol):
    """A store, and a look at what it keeps that does not go through it."""

    store: BlobStore

    async def names(self) -> list[str]:
        """What is stored, as `permanent/<did>/<cid>` and the like, uploads in progress as well."""
        ...


class OnDisk:
    def __init__(self, directory: Path) -> None:
        self.store: BlobStore = DiskBlobStore(directory)
        self._directory = directory

    async def names(self) -> list[str]:
        return await asyncio.to_thread(self._names)

    def _names(self) -> list[str]:
        found = [p.relative_to(self._directory) for p in self._directory.rglob("*") if p.is_file()]
        named = {"tempt": "temporary", "quarantine": "quarantine"}
        return sorted(
            f"permanent/{path}"
            if path.parts[0] not in named
            else "/".join((named[path.parts[0]], *path.parts[1:]))
            for path in found
        )


class OnS3:
    def __init__(self, bucket: S3Bucket) -> None:
        self.store: BlobStore = S3BlobStore(bucket)
        self._bucket = bucket

    async def names(self) -> list[str]:
        keys = await keys_of(self._bucket)
        named = {"blocks": "permanent", "tmp": "temporary", "quarantine": "quarantine"}
        return sorted(
            f"{named[first]}/{rest}" for first, _, rest in (k.partition("/") for k in keys)
        )


@pytest.fixture(params=["disk", "s3"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    place: Place
    if request.param == "disk":
        place = OnDisk(tmp_path / "blobs")
    else:
        server: SeaweedFs = request.getfixturevalue("seaweedfs")
        place = OnS3(S3Bucket(await server.create_bucket()))
    yield place
    await place.store.close()


async def is_there(store: BlobStore, did: str, cid: Cid) -> bool:
    try:
        async with await store.open(did, cid):
            return True
    except BlobFileMissing:
        return False


@pytest.mark.parametrize(
    "size", [0, 1, HEAD_BYTES, HEAD_BYTES + 1, 524_288, 1_700_001, PART, PART + 1, 2 * PART + 3]
)
async def test_upload_is_read_back_under_its_cid(place: Place, size: int) -> None:
    data = os.urandom(size)
    temp = await put(place.store, data)
    assert temp.cid == Cid.of_raw(data)
    assert temp.size == size
    assert temp.head == data[:HEAD_BYTES]
    await place.store.make_permanent(DID, temp.key, temp.cid)
    assert await read(place.store, temp.cid) == data


def test_temp_keys_are_32_random_bytes_in_base32() -> None:
    keys = {new_temp_key() for _ in range(100)}
    assert len(keys) == 100
    assert {len(key) for key in keys} == {52}
    assert set("".join(keys)) <= set("abcdefghijklmnopqrstuvwxyz234567")


async def test_too_large_upload_stops_early_and_leaves_nothing(place: Place) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 100_000
            yield bytes(100_000)

    with pytest.raises(BlobTooLarge) as caught:
        await place.store.put_temp(DID, endless(), max_bytes=1_000_000)
    assert caught.value.max_bytes == 1_000_000
    assert sent <= 1_100_000
    assert await place.names() == []


async def test_upload_of_exactly_the_limit_is_accepted(place: Place) -> None:
    temp = await place.store.put_temp(DID, chunked(bytes(1000), 99), max_bytes=1000)
    assert temp.size == 1000


@pytest.mark.parametrize("received", [10, 2_000_000, PART + 2_000_000])
async def test_broken_upload_leaves_nothing(place: Place, received: int) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield bytes(received)
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await place.store.put_temp(DID, broken(), max_bytes=LIMIT)
    assert await place.names() == []


@pytest.mark.parametrize("received", [10, 2_000_000, PART + 2_000_000])
async def test_cancelled_upload_leaves_nothing(place: Place, received: int) -> None:
    waiting = asyncio.Event()

    async def stalled() -> AsyncIterator[bytes]:
        yield bytes(received)
        waiting.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(place.store.put_temp(DID, stalled(), max_bytes=LIMIT))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await place.names() == []


async def test_make_permanent_may_be_repeated(place: Place) -> None:
    first, second = await put(place.store, b"same"), await put(place.store, b"same")
    await place.store.make_permanent(DID, first.key, first.cid)
    await place.store.make_permanent(DID, first.key, first.cid)
    await place.store.make_permanent(DID, second.key, second.cid)
    assert await place.names() == [f"permanent/{DID}/{first.cid}"]


async def test_make_permanent_without_bytes_is_an_error(place: Place) -> None:
    with pytest.raises(BlobFileMissing):
        await place.store.make_permanent(DID, new_temp_key(), Cid.of_raw(b"never sent"))


async def test_missing_blob_cannot_be_opened(place: Place) -> None:
    with pytest.raises(BlobFileMissing):
        await place.store.open(DID, Cid.of_raw(b"never sent"))


async def test_blob_belongs_to_one_account(place: Place) -> None:
    cid = await put_permanent(place.store, b"mine")
    assert await is_there(place.store, DID, cid)
    assert not await is_there(place.store, OTHER, cid)


async def test_quarantine_hides_a_blob_until_it_is_reversed(place: Place) -> None:
    cid = await put_permanent(place.store, b"questionable")
    await place.store.quarantine(DID, cid)
    assert not await is_there(place.store, DID, cid)
    with pytest.raises(BlobFileMissing):
        await place.store.open(DID, cid)
    await place.store.unquarantine(DID, cid)
    assert await read(place.store, cid) == b"questionable"


async def test_absent_bytes_are_ignored_by_deletion_and_quarantine(place: Place) -> None:
    cid = Cid.of_raw(b"never sent")
    await place.store.quarantine(DID, cid)
    await place.store.unquarantine(DID, cid)
    await place.store.delete(DID, [cid])
    await place.store.discard_temp(DID, new_temp_key())
    await place.store.delete_all(DID)
    with pytest.raises(BlobFileMissing):
        await place.store.open(DID, cid)


async def test_delete_removes_only_the_named_blobs(place: Place) -> None:
    one, two = await put_permanent(place.store, b"1"), await put_permanent(place.store, b"2")
    await place.store.delete(DID, [one])
    assert not await is_there(place.store, DID, one)
    assert await is_there(place.store, DID, two)


async def test_discard_temp_removes_the_upload(place: Place) -> None:
    temp = await put(place.store, b"abandoned")
    await place.store.discard_temp(DID, temp.key)
    assert await place.names() == []


async def test_delete_all_removes_every_file_of_one_account(place: Place) -> None:
    for did in (DID, OTHER):
        await put(place.store, b"temporary", did)
        await put_permanent(place.store, b"permanent", did)
        await place.store.quarantine(did, await put_permanent(place.store, b"quarantined", did))
    await place.store.delete_all(DID)
    left = await place.names()
    assert len(left) == 3
    assert all(OTHER in path for path in left)


@pytest.mark.parametrize(
    "did",
    [
        "",
        ".",
        "..",
        "../did:plc:x",
        "did:plc:../../etc",
        "did:plc:a/b",
        "did:plc:a\\b",
        "did:plc:a\x00b",
        "did:plc:a\n",
        "did:plc:",
        "DID:plc:abc",
        "quarantine",
        "tempt",
        "did:plc:" + "a" * 3000,
    ],
)
async def test_did_that_could_leave_the_directory_is_refused(place: Place, did: str) -> None:
    cid = Cid.of_raw(b"")
    with pytest.raises(InvalidBlobName):
        await put(place.store, b"data", did)
    with pytest.raises(InvalidBlobName):
        await place.store.open(did, cid)
    with pytest.raises(InvalidBlobName):
        await place.store.delete_all(did)
    with pytest.raises(InvalidBlobName):
        await place.store.delete(did, [cid])
    assert await place.names() == []


@pytest.mark.parametrize("key", ["", "..", "../../key", "a" * 51, "A" * 52, "a" * 51 + "/"])
async def test_key_that_could_leave_the_directory_is_refused(place: Place, key: str) -> None:
    with pytest.raises(InvalidBlobName):
        await place.store.discard_temp(DID, key)
    with pytest.raises(InvalidBlobName):
        await place.store.make_permanent(DID, key, Cid.of_raw(b""))


async def test_each_state_has_a_place_of_its_own(place: Place) -> None:
    temp = await put(place.store, b"hello")
    assert await place.names() == [f"temporary/{DID}/{temp.key}"]
    await place.store.make_permanent(DID, temp.key, temp.cid)
    assert await place.names() == [f"permanent/{DID}/{temp.cid}"]
    await place.store.quarantine(DID, temp.cid)
    assert await place.names() == [f"quarantine/{DID}/{temp.cid}"]
    await place.store.unquarantine(DID, temp.cid)
    await place.store.make_temporary(DID, temp.key, temp.cid)
    assert await place.names() == [f"temporary/{DID}/{temp.key}"]


async def test_old_temporary_bytes_are_listed(place: Place) -> None:
    temp = await put(place.store, b"old enough")
    await put_permanent(place.store, b"not temporary")
    later_s, earlier_s = time.time() + 60, time.time() - 60
    assert await place.store.list_temp_dids() == [DID]
    assert await place.store.list_temp(DID, before_s=later_s) == [temp.key]
    assert await place.store.list_temp(DID, before_s=earlier_s) == []
    assert await place.store.list_temp(OTHER, before_s=later_s) == []


async def test_a_blob_may_be_closed_before_its_end(place: Place) -> None:
    cid = await put_permanent(place.store, os.urandom(2_000_000))
    blob = await place.store.open(DID, cid)
    await blob.close()
    await blob.close()
    assert len(await read(place.store, cid)) == 2_000_000


async def test_uploads_at_once_are_all_whole(place: Place) -> None:
    contents = [os.urandom(size) for size in (10, 400_000, 3_000_000, PART + 9) * 3]
    temps = await asyncio.gather(*(put(place.store, data) for data in contents))
    assert [temp.cid for temp in temps] == [Cid.of_raw(data) for data in contents]
    await asyncio.gather(*(place.store.make_permanent(DID, temp.key, temp.cid) for temp in temps))
    found = await asyncio.gather(*(read(place.store, temp.cid) for temp in temps))
    assert found == contents
