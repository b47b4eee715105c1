"""The S3 blob store alone: its keys, and what a crash between copying and deleting leaves."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable

import pytest

from actor_store.blob_store.base import BlobStoreUnavailable, new_temp_key
from actor_store.blob_store.s3 import S3BlobStore
from actor_store.blob_store.s3_bucket import S3Bucket
from tests.actor_store.stored_blobs import DID, keys_of, put

LATER_S = 60.0


@pytest.fixture
async def store(bucket: S3Bucket) -> AsyncIterator[S3BlobStore]:
    store = S3BlobStore(bucket)
    yield store
    await store.close()


async def test_keys_are_those_of_the_reference(store: S3BlobStore) -> None:
    temp = await put(store, b"some bytes")
    assert await keys_of(store.bucket) == [f"tmp/{DID}/{temp.key}"]
    await store.make_permanent(DID, temp.key, temp.cid)
    assert await keys_of(store.bucket) == [f"blocks/{DID}/{temp.cid}"]
    await store.quarantine(DID, temp.cid)
    assert await keys_of(store.bucket) == [f"quarantine/{DID}/{temp.cid}"]


async def test_what_a_crash_cut_off_is_completed_when_it_is_repeated(store: S3BlobStore) -> None:
    temp = await put(store, b"some bytes")
    permanent = f"blocks/{DID}/{temp.cid}"
    assert await store.bucket.copy(f"tmp/{DID}/{temp.key}", permanent)
    await store.make_permanent(DID, temp.key, temp.cid)
    assert await keys_of(store.bucket) == [permanent]
    assert await store.bucket.copy(permanent, f"quarantine/{DID}/{temp.cid}")
    await store.quarantine(DID, temp.cid)
    assert await keys_of(store.bucket) == [f"quarantine/{DID}/{temp.cid}"]
    assert await store.bucket.copy(f"quarantine/{DID}/{temp.cid}", permanent)
    await store.unquarantine(DID, temp.cid)
    assert await keys_of(store.bucket) == [permanent]


async def test_unfinished_uploads_are_listed_with_old_uploads_and_discarded(
    store: S3BlobStore,
) -> None:
    key = new_temp_key()
    await store.bucket.uploads.create(f"tmp/{DID}/{key}")
    assert await store.list_temp_dids() == [DID]
    assert await store.list_temp(DID, before_s=time.time() - LATER_S) == []
    assert await store.list_temp(DID, before_s=time.time() + LATER_S) == [key]
    await store.discard_temp(DID, key)
    assert await keys_of(store.bucket) == []
    assert await store.list_temp_dids() == []


async def test_a_deleted_account_leaves_no_unfinished_upload(store: S3BlobStore) -> None:
    await store.bucket.uploads.create(f"tmp/{DID}/{new_temp_key()}")
    await store.bucket.uploads.create(f"blocks/{DID}/bafkreiunfinished")
    await store.delete_all(DID)
    assert await keys_of(store.bucket) == []


async def test_an_upload_is_permanent_although_its_old_key_stays(
    store: S3BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    temp = await put(store, b"some bytes")

    async def fail(_keys: Iterable[str]) -> None:
        raise BlobStoreUnavailable("down")

    with monkeypatch.context() as patched:
        patched.setattr(store.bucket, "delete", fail)
        await store.make_permanent(DID, temp.key, temp.cid)
    async with await store.open(DID, temp.cid) as blob:
        assert blob.size == temp.size
    assert await store.list_temp(DID, before_s=time.time() + LATER_S) == [temp.key]
