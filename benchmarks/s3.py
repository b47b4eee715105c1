"""A blob of 64 MiB through the S3 store, and by aiobotocore alone."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from actor_store.blob_store.s3 import S3BlobStore
from actor_store.blob_store.s3_bucket import S3Bucket
from actor_store.blob_store.s3_location import S3Location
from actor_store.blob_store.s3_uploads import MIN_PART_BYTES
from tests.seaweedfs import SeaweedFs

BLOB_MIB: Final = 64
_BLOB_BYTES: Final = BLOB_MIB * 1024 * 1024
_CHUNK_BYTES: Final = 64 * 1024
_READ_BYTES: Final = 256 * 1024
_AT_ONCE: Final = 3
"""Parts on their way, as in the store."""
_DID: Final = "did:plc:abcdefghijklmnopqrstuvwx"


@dataclass(slots=True)
class S3Figures:
    """Seconds of each round."""

    store_up_s: list[float] = field(default_factory=list)
    store_down_s: list[float] = field(default_factory=list)
    alone_up_s: list[float] = field(default_factory=list)
    alone_down_s: list[float] = field(default_factory=list)


def measure_s3(rounds: int) -> S3Figures:
    """Start a SeaweedFS and send a blob up and down, in turn by the store and without it."""
    with tempfile.TemporaryDirectory(prefix="bench-s3-") as directory:
        server = SeaweedFs.start(Path(directory))
        try:
            return asyncio.run(_measure(server, rounds))
        finally:
            server.kill()


async def _measure(server: SeaweedFs, rounds: int) -> S3Figures:
    location = await server.create_bucket()
    figures, data = S3Figures(), os.urandom(_BLOB_BYTES)
    # The first round warms up both, and the server.
    for number in range(rounds + 1):
        measured = (await _by_store(location, data), await _alone(location, data))
        if number:
            (store_up, store_down), (alone_up, alone_down) = measured
            figures.store_up_s.append(store_up)
            figures.store_down_s.append(store_down)
            figures.alone_up_s.append(alone_up)
            figures.alone_down_s.append(alone_down)
    return figures


async def _by_store(location: S3Location, data: bytes) -> tuple[float, float]:
    store = S3BlobStore(S3Bucket(location))
    try:
        await store.bucket.check()
        up_s, temp = await _timed(
            lambda: store.put_temp(_DID, _chunks(data), max_bytes=_BLOB_BYTES)
        )
        await store.make_permanent(_DID, temp.key, temp.cid)
        down_s, size = await _timed(lambda: _read(store, temp.cid))
        await store.delete(_DID, [temp.cid])
    finally:
        await store.close()
    return up_s, _whole(size, down_s)


async def _alone(location: S3Location, data: bytes) -> tuple[float, float]:
    client = get_session().create_client(
        "s3",
        region_name=location.region,
        endpoint_url=location.endpoint,
        aws_access_key_id=location.access_key_id,
        aws_secret_access_key=location.secret_access_key,
        config=AioConfig(s3={"addressing_style": "path"}),
    )
    async with client as calls:
        named = {"Bucket": location.bucket, "Key": "alone"}
        await calls.list_objects_v2(Bucket=location.bucket, MaxKeys=1)
        up_s, _ = await _timed(lambda: _upload(calls, named, data))
        down_s, size = await _timed(lambda: _download(calls, named))
        await calls.delete_object(**named)
    return up_s, _whole(size, down_s)


async def _upload(calls: Any, named: dict[str, str], data: bytes) -> None:
    upload = {**named, "UploadId": (await calls.create_multipart_upload(**named))["UploadId"]}
    turns = asyncio.Semaphore(_AT_ONCE)

    async def send(number: int, part: bytes) -> dict[str, Any]:
        async with turns:
            answer = await calls.upload_part(**upload, PartNumber=number, Body=BytesIO(part))
        return {"PartNumber": number, "ETag": answer["ETag"]}

    starts = enumerate(range(0, len(data), MIN_PART_BYTES), 1)
    parts = await asyncio.gather(
        *(send(number, data[start : start + MIN_PART_BYTES]) for number, start in starts)
    )
    await calls.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})


async def _download(calls: Any, named: dict[str, str]) -> int:
    size = 0
    async with (await calls.get_object(**named))["Body"] as body:
        async for chunk in body.iter_chunks(_READ_BYTES):
            size += len(chunk)
    return size


async def _read(store: S3BlobStore, cid: Any) -> int:
    return sum([len(chunk) async for chunk in await store.open(_DID, cid)])


async def _chunks(data: bytes) -> AsyncIterator[bytes]:
    view = memoryview(data)
    for start in range(0, len(data), _CHUNK_BYTES):
        yield bytes(view[start : start + _CHUNK_BYTES])


async def _timed(call: Callable[[], Awaitable[Any]]) -> tuple[float, Any]:
    began = time.perf_counter()
    result = await call()
    return time.perf_counter() - began, result


def _whole(size: int, took_s: float) -> float:
    if size != _BLOB_BYTES:
        raise RuntimeError(f"{size} bytes came back instead of {_BLOB_BYTES}")
    return took_s
