"""S3 that is down, slow, refusing, restarted or full: in bounded time, with nothing left behind."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from actor_store.blob_store.base import (
    BlobStoreFull,
    BlobStoreMisconfigured,
    BlobStoreUnavailable,
)
from actor_store.blob_store.memory_room import MemoryRoom
from actor_store.blob_store.s3 import S3BlobStore
from actor_store.blob_store.s3_bucket import S3Bucket
from actor_store.blob_store.s3_errors import refusal
from actor_store.blob_store.s3_location import S3Location
from actor_store.blob_store.s3_uploads import MIN_PART_BYTES as PART
from repo.cid import Cid
from tests.actor_store.stored_blobs import DID, LIMIT, chunked, keys_of, put, put_permanent, read
from tests.seaweedfs import SeaweedFs
from tests.tcp_proxy import TcpProxy


@pytest.fixture
async def store(bucket_location: S3Location, proxy: TcpProxy) -> AsyncIterator[S3BlobStore]:
    """A store that reaches its server through the proxy."""
    behind = replace(bucket_location, endpoint=f"http://127.0.0.1:{proxy.port}")
    store = S3BlobStore(S3Bucket(behind))
    yield store
    await store.close()


@pytest.fixture
async def impatient(store: S3BlobStore) -> AsyncIterator[S3BlobStore]:
    """Another store of the same bucket, which does not wait long for an answer."""
    location = replace(store.bucket.location, request_timeout_ms=1_000)
    impatient = S3BlobStore(S3Bucket(location))
    yield impatient
    await impatient.close()


async def test_a_busy_server_is_asked_again(store: S3BlobStore, proxy: TcpProxy) -> None:
    proxy.mode, proxy.refuse_only = "refuse", 2
    cid = await put_permanent(store, b"in the end")
    assert proxy.refused == 2
    assert await read(store, cid) == b"in the end"


async def test_a_server_that_stays_busy_is_asked_a_few_times(
    store: S3BlobStore, proxy: TcpProxy, bucket: S3Bucket
) -> None:
    proxy.mode = "refuse"
    with pytest.raises(BlobStoreUnavailable, match="SlowDown"):
        await put_permanent(store, b"never")
    tries = proxy.refused
    assert 1 < tries <= 5
    proxy.mode = "pass"
    await put_permanent(store, b"now")
    assert await keys_of(bucket) == [f"blocks/{DID}/{Cid.of_raw(b'now')}"]


async def test_a_silent_server_is_given_up(
    store: S3BlobStore, impatient: S3BlobStore, proxy: TcpProxy
) -> None:
    proxy.mode = "stall"
    with pytest.raises(BlobStoreUnavailable, match="Read timeout"):
        await put_permanent(impatient, b"never")
    proxy.mode = "pass"
    assert await read(store, await put_permanent(store, b"now")) == b"now"


async def test_a_download_that_falls_silent_is_given_up(
    store: S3BlobStore, impatient: S3BlobStore, proxy: TcpProxy
) -> None:
    cid = await put_permanent(store, os.urandom(20_000_000))
    stream = await impatient.open(DID, cid)
    parts = aiter(stream)
    assert await anext(parts)
    proxy.mode = "stall"
    with pytest.raises(BlobStoreUnavailable):
        await _to_the_end(parts)


async def test_a_download_that_is_cut_off_is_no_whole_blob(
    store: S3BlobStore, proxy: TcpProxy
) -> None:
    cid = await put_permanent(store, os.urandom(20_000_000))
    stream = await store.open(DID, cid)
    parts = aiter(stream)
    assert await anext(parts)
    proxy.cut()
    with pytest.raises(BlobStoreUnavailable):
        await _to_the_end(parts)


async def test_an_upload_whose_connections_are_cut_goes_on(
    store: S3BlobStore, proxy: TcpProxy, bucket: S3Bucket
) -> None:
    data = os.urandom(2 * PART + 1_000_000)
    sent = 0

    async def cutting() -> AsyncIterator[bytes]:
        nonlocal sent
        async for chunk in chunked(data, 100_000):
            sent += 1
            if sent == 80:
                proxy.cut()
            yield chunk

    temp = await store.put_temp(DID, cutting(), max_bytes=LIMIT)
    assert temp.cid == Cid.of_raw(data)
    await store.make_permanent(DID, temp.key, temp.cid)
    assert await keys_of(bucket) == [f"blocks/{DID}/{temp.cid}"]
    assert await read(store, temp.cid) == data


async def test_a_restart_in_the_middle_of_an_upload_loses_and_leaks_nothing(
    tmp_path: Path,
) -> None:
    server = await asyncio.to_thread(SeaweedFs.start, tmp_path)
    store = S3BlobStore(S3Bucket(await server.create_bucket()))
    data = os.urandom(3 * PART)

    async def restarting() -> AsyncIterator[bytes]:
        count = 0
        async for chunk in chunked(data, 100_000):
            count += 1
            if count == 110:
                server.kill()
                await asyncio.to_thread(server.start_again)
            yield chunk

    try:
        before = await put_permanent(store, b"from before")
        try:
            temp = await store.put_temp(DID, restarting(), max_bytes=LIMIT)
        except BlobStoreUnavailable:
            # Refused, so the client sends it again.
            temp = await put(store, data)
        await store.make_permanent(DID, temp.key, temp.cid)
        assert await read(store, temp.cid) == data
        assert await read(store, before) == b"from before"
        # What a failed upload has left, the sweep finds and removes.
        for key in await store.list_temp(DID, before_s=time.time() + 60):
            await store.discard_temp(DID, key)
        left = await keys_of(store.bucket)
        assert sorted(left) == sorted(f"blocks/{DID}/{cid}" for cid in (before, temp.cid))
    finally:
        await store.close()
        server.kill()


async def test_a_full_server_refuses_and_keeps_what_it_has(tmp_path: Path) -> None:
    """SeaweedFS does not say that it is full, so it counts as unavailable."""
    server = await asyncio.to_thread(
        SeaweedFs.start, tmp_path, "-volume.max=1", "-master.volumeSizeLimitMB=8"
    )
    store = S3BlobStore(S3Bucket(await server.create_bucket()))
    try:
        kept: list[Cid] = []
        with pytest.raises((BlobStoreFull, BlobStoreUnavailable)):
            await _fill(store, kept)
        assert kept
        assert len(await read(store, kept[0])) == 2_000_000
    finally:
        await store.close()
        server.kill()


_MEANINGS = [
    (507, "InsufficientStorage", BlobStoreFull),
    (507, "XMinioStorageFull", BlobStoreFull),
    (403, "QuotaExceeded", BlobStoreFull),
    (403, "AccessDenied", BlobStoreMisconfigured),
    (400, "AuthorizationHeaderMalformed", BlobStoreMisconfigured),
    (403, "RequestTimeTooSkewed", BlobStoreMisconfigured),
    (500, "InternalError", BlobStoreUnavailable),
    (502, "502", BlobStoreUnavailable),
    (429, "TooManyRequests", BlobStoreUnavailable),
]


@pytest.mark.parametrize(("status", "code", "kind"), _MEANINGS)
def test_a_code_becomes_the_error_that_it_means(
    status: int, code: str, kind: type[Exception]
) -> None:
    assert type(refusal(code, "", S3Location("photos"), status=status)) is kind


@pytest.mark.parametrize(("status", "code", "kind"), _MEANINGS[2:5])
async def test_what_a_server_says_is_told(
    store: S3BlobStore, proxy: TcpProxy, status: int, code: str, kind: type[Exception]
) -> None:
    proxy.mode, proxy.refusal = "refuse", (status, code)
    with pytest.raises(kind, match=code):
        await store.bucket.check()
    assert proxy.refused == 1


async def test_64_megabytes_take_the_memory_of_a_few_parts(bucket_location: S3Location) -> None:
    room = _Watched(40 * 1024 * 1024)
    store = S3BlobStore(S3Bucket(bucket_location), room=room)
    try:
        data = os.urandom(64 * 1024 * 1024)
        cid = await put_permanent(store, data)
        assert await read(store, cid) == data
        assert 0 < room.most_bytes <= 6 * PART
        assert room.free_bytes == 40 * 1024 * 1024
    finally:
        await store.close()


async def test_uploads_at_once_share_the_memory(bucket_location: S3Location) -> None:
    room = _Watched(6 * PART)
    store = S3BlobStore(S3Bucket(bucket_location), room=room)
    try:
        contents = [os.urandom(3 * PART) for _ in range(4)]
        cids = await asyncio.gather(*(put_permanent(store, data) for data in contents))
        assert cids == [Cid.of_raw(data) for data in contents]
        assert room.free_bytes == 6 * PART
    finally:
        await store.close()


async def test_memory_is_granted_in_turn_and_comes_back() -> None:
    room = MemoryRoom(100, wait_s=60)
    await room.take(80)
    large = asyncio.create_task(room.take(90))
    small = asyncio.create_task(room.take(10))
    await asyncio.sleep(0)
    assert not large.done()
    assert not small.done()
    large.cancel()
    await small
    assert room.free_bytes == 10
    room.give(90)
    assert room.free_bytes == 100


async def test_an_upload_that_finds_no_memory_is_refused() -> None:
    room = MemoryRoom(100, wait_s=0)
    await room.take(100)
    with pytest.raises(BlobStoreUnavailable):
        await room.take(1)
    room.give(100)
    assert room.free_bytes == 100


async def _to_the_end(parts: AsyncIterator[bytes]) -> None:
    async for _ in parts:
        continue


async def _fill(store: S3BlobStore, kept: list[Cid]) -> None:
    while len(kept) < 20:
        kept.append(await put_permanent(store, os.urandom(2_000_000)))


class _Watched(MemoryRoom):
    """Remembers the most that was taken at a time."""

    def __init__(self, total_bytes: int) -> None:
        super().__init__(total_bytes)
        self._total = total_bytes
        self.most_bytes = 0

    async def take(self, size: int) -> None:
        await super().take(size)
        self.most_bytes = max(self.most_bytes, self._total - self.free_bytes)
