"""Putting bytes into a blob store, and reading them."""

from __future__ import annotations

from collections.abc import AsyncIterator

from actor_store.blob_store.base import BlobStore, TempBlob
from actor_store.blob_store.s3_bucket import S3Bucket
from repo.cid import Cid

DID = "did:plc:abcdefghijklmnopqrstuvwx"
OTHER = "did:web:blobs.example%3A8080"
LIMIT = 100 * 1024 * 1024


async def chunked(data: bytes, size: int = 65_536) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def put(store: BlobStore, data: bytes, did: str = DID) -> TempBlob:
    return await store.put_temp(did, chunked(data), max_bytes=LIMIT)


async def put_permanent(store: BlobStore, data: bytes, did: str = DID) -> Cid:
    temp = await put(store, data, did)
    await store.make_permanent(did, temp.key, temp.cid)
    return temp.cid


async def read(store: BlobStore, cid: Cid, did: str = DID) -> bytes:
    blob = await store.open(did, cid)
    data = b"".join([chunk async for chunk in blob])
    assert blob.size == len(data)
    return data


async def keys_of(bucket: S3Bucket) -> list[str]:
    """The keys of all objects and unfinished uploads of a bucket."""
    keys = [info.key async for info in bucket.list("")]
    return keys + [upload.key async for upload in bucket.uploads.list("")]
