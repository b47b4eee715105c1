"""Blobs as files: whole or absent, and never outside their directories."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actor_store.blob_store import disk_files
from actor_store.blob_store.base import (
    HEAD_BYTES,
    BlobFileMissing,
    BlobStore,
    BlobStoreFull,
    BlobTooLarge,
    InvalidBlobName,
    OpenBlob,
    TempBlob,
    new_temp_key,
)
from actor_store.blob_store.disk import DiskBlobStore
from repo.cid import Cid

DID = "did:plc:abcdefghijklmnopqrstuvwx"
OTHER = "did:web:blobs.example%3A8080"
LIMIT = 10_000_000


@pytest.fixture
def store(tmp_path: Path) -> DiskBlobStore:
    return DiskBlobStore(tmp_path / "blobs")


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
    blob: OpenBlob = await store.open(did, cid)
    return b"".join([chunk async for chunk in blob])


def files_below(directory: Path) -> list[str]:
    return sorted(str(p.relative_to(directory)) for p in directory.rglob("*") if p.is_file())


@pytest.mark.parametrize("size", [0, 1, HEAD_BYTES, HEAD_BYTES + 1, 524_288, 1_700_001])
async def test_upload_is_read_back_under_its_cid(store: DiskBlobStore, size: int) -> None:
    data = os.urandom(size)
    temp = await put(store, data)
    assert temp.cid == Cid.of_raw(data)
    assert temp.size == size
    assert temp.head == data[:HEAD_BYTES]
    await store.make_permanent(DID, temp.key, temp.cid)
    assert await read(store, temp.cid) == data


async def test_open_blob_tells_size_and_path(store: DiskBlobStore) -> None:
    cid = await put_permanent(store, b"12345")
    async with await store.open(DID, cid) as blob:
        assert blob.size == 5
        assert blob.path == store.path(DID, cid)
        assert blob.path.read_bytes() == b"12345"


async def test_files_lie_where_the_reference_puts_them(
    store: DiskBlobStore, tmp_path: Path
) -> None:
    temp = await put(store, b"hello")
    blobs = tmp_path / "blobs"
    assert files_below(blobs) == [f"tempt/{DID}/{temp.key}"]
    await store.make_permanent(DID, temp.key, temp.cid)
    assert files_below(blobs) == [f"{DID}/{temp.cid}"]
    await store.quarantine(DID, temp.cid)
    assert files_below(blobs) == [f"quarantine/{DID}/{temp.cid}"]


def test_temp_keys_are_32_random_bytes_in_base32() -> None:
    keys = {new_temp_key() for _ in range(100)}
    assert len(keys) == 100
    assert {len(key) for key in keys} == {52}
    assert set("".join(keys)) <= set("abcdefghijklmnopqrstuvwxyz234567")


async def test_too_large_upload_stops_early_and_leaves_nothing(
    store: DiskBlobStore, tmp_path: Path
) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 100_000
            yield bytes(100_000)

    with pytest.raises(BlobTooLarge) as caught:
        await store.put_temp(DID, endless(), max_bytes=1_000_000)
    assert caught.value.max_bytes == 1_000_000
    assert sent <= 1_100_000
    assert files_below(tmp_path) == []


async def test_upload_of_exactly_the_limit_is_accepted(store: DiskBlobStore) -> None:
    temp = await store.put_temp(DID, chunked(bytes(1000), 99), max_bytes=1000)
    assert temp.size == 1000


@pytest.mark.parametrize("received", [10, 2_000_000])
async def test_broken_upload_leaves_nothing(
    store: DiskBlobStore, tmp_path: Path, received: int
) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield bytes(received)
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await store.put_temp(DID, broken(), max_bytes=LIMIT)
    assert files_below(tmp_path) == []


@pytest.mark.parametrize("received", [10, 2_000_000])
async def test_cancelled_upload_leaves_nothing(
    store: DiskBlobStore, tmp_path: Path, received: int
) -> None:
    waiting = asyncio.Event()

    async def stalled() -> AsyncIterator[bytes]:
        yield bytes(received)
        waiting.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(store.put_temp(DID, stalled(), max_bytes=LIMIT))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert files_below(tmp_path) == []


async def test_upload_cancelled_while_a_thread_writes_leaves_nothing(
    store: DiskBlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    writing, opened_new = asyncio.Event(), disk_files.opened_new

    def announced(path: Path) -> object:
        file = opened_new(path)
        loop.call_soon_threadsafe(writing.set)
        return file

    monkeypatch.setattr("actor_store.blob_store.disk_upload.opened_new", announced)
    task = asyncio.create_task(put(store, bytes(400_000)))
    await writing.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert files_below(tmp_path) == []


@pytest.mark.parametrize("size", [10, 2_000_000])
async def test_full_disk_is_named_and_leaves_nothing(
    store: DiskBlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    def full(path: Path) -> object:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        return Path("/dev/full").open("wb")

    monkeypatch.setattr("actor_store.blob_store.disk_upload.opened_new", full)
    with pytest.raises(BlobStoreFull, match="no space for blobs"):
        await put(store, bytes(size))
    assert files_below(tmp_path) == []


async def test_make_permanent_may_be_repeated(store: DiskBlobStore, tmp_path: Path) -> None:
    first, second = await put(store, b"same"), await put(store, b"same")
    await store.make_permanent(DID, first.key, first.cid)
    await store.make_permanent(DID, first.key, first.cid)
    await store.make_permanent(DID, second.key, second.cid)
    assert files_below(tmp_path / "blobs") == [f"{DID}/{first.cid}"]


async def test_make_permanent_without_bytes_is_an_error(store: DiskBlobStore) -> None:
    with pytest.raises(BlobFileMissing):
        await store.make_permanent(DID, new_temp_key(), Cid.of_raw(b"never sent"))


@pytest.mark.parametrize("full_sync", [False, True])
async def test_blob_moves_between_file_systems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, full_sync: bool
) -> None:
    blobs = tmp_path / "blobs"
    store = DiskBlobStore(blobs, tmp_path / "elsewhere", full_sync=full_sync)
    replace = Path.replace

    def one_file_system_only(source: Path, target: Path) -> Path:
        if source.is_relative_to(blobs) != target.is_relative_to(blobs):
            raise OSError(errno.EXDEV, "cross-device link")
        return replace(source, target)

    monkeypatch.setattr(Path, "replace", one_file_system_only)
    cid = await put_permanent(store, b"far away" * 100_000)
    assert await read(store, cid) == b"far away" * 100_000
    assert files_below(tmp_path) == [f"blobs/{DID}/{cid}"]


async def test_copy_that_meets_a_full_disk_keeps_the_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = DiskBlobStore(tmp_path / "blobs", tmp_path / "elsewhere")
    temp = await put(store, b"data")

    def other_file_system(source: Path, target: Path) -> Path:
        raise OSError(errno.EXDEV, "cross-device link")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", other_file_system)
        patch.setattr(os, "fsync", full)
        with pytest.raises(BlobStoreFull):
            await store.make_permanent(DID, temp.key, temp.cid)
    assert files_below(tmp_path) == [f"elsewhere/{DID}/{temp.key}"]
    await store.make_permanent(DID, temp.key, temp.cid)
    assert await read(store, temp.cid) == b"data"


async def test_full_sync_syncs_every_step_with_the_directories(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def noted_fsync(descriptor: int) -> None:
        steps.append("sync " + Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    def noted_replace(source: Path, target: Path) -> Path:
        moved = replace(source, target)
        steps.append("rename")
        return moved

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    store = DiskBlobStore(tmp_path / "blobs", full_sync=True)
    temp = await put(store, b"durable")
    assert steps == [f"sync {temp.key}", f"sync {DID}", "sync tempt"]
    steps.clear()
    await store.make_permanent(DID, temp.key, temp.cid)
    assert steps == [f"sync {temp.key}", "rename", f"sync {DID}", "sync blobs"]


async def test_missing_blob_cannot_be_opened(store: DiskBlobStore) -> None:
    with pytest.raises(BlobFileMissing):
        await store.open(DID, Cid.of_raw(b"never sent"))


async def test_blob_belongs_to_one_account(store: DiskBlobStore) -> None:
    cid = await put_permanent(store, b"mine")
    assert store.path(DID, cid).exists()
    assert not store.path(OTHER, cid).exists()


async def test_quarantine_hides_a_blob_until_it_is_reversed(store: DiskBlobStore) -> None:
    cid = await put_permanent(store, b"questionable")
    await store.quarantine(DID, cid)
    assert not store.path(DID, cid).exists()
    with pytest.raises(BlobFileMissing):
        await store.open(DID, cid)
    await store.unquarantine(DID, cid)
    assert await read(store, cid) == b"questionable"


async def test_absent_bytes_are_ignored_by_deletion_and_quarantine(store: DiskBlobStore) -> None:
    cid = Cid.of_raw(b"never sent")
    await store.quarantine(DID, cid)
    await store.unquarantine(DID, cid)
    await store.delete(DID, [cid])
    await store.discard_temp(DID, new_temp_key())
    await store.delete_all(DID)
    with pytest.raises(BlobFileMissing):
        await store.open(DID, cid)


async def test_delete_removes_only_the_named_blobs(store: DiskBlobStore) -> None:
    one, two = await put_permanent(store, b"1"), await put_permanent(store, b"2")
    await store.delete(DID, [one])
    assert not store.path(DID, one).exists()
    assert store.path(DID, two).exists()


async def test_discard_temp_removes_the_upload(store: DiskBlobStore, tmp_path: Path) -> None:
    temp = await put(store, b"abandoned")
    await store.discard_temp(DID, temp.key)
    assert files_below(tmp_path) == []


async def test_delete_all_removes_every_file_of_one_account(
    store: DiskBlobStore, tmp_path: Path
) -> None:
    for did in (DID, OTHER):
        await put(store, b"temporary", did)
        await put_permanent(store, b"permanent", did)
        await store.quarantine(did, await put_permanent(store, b"quarantined", did))
    await store.delete_all(DID)
    left = files_below(tmp_path)
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
async def test_did_that_could_leave_the_directory_is_refused(
    store: DiskBlobStore, tmp_path: Path, did: str
) -> None:
    cid = Cid.of_raw(b"")
    with pytest.raises(InvalidBlobName):
        await put(store, b"data", did)
    with pytest.raises(InvalidBlobName):
        await store.open(did, cid)
    with pytest.raises(InvalidBlobName):
        await store.delete_all(did)
    with pytest.raises(InvalidBlobName):
        store.path(did, cid)
    assert files_below(tmp_path) == []


@pytest.mark.parametrize("key", ["", "..", "../../key", "a" * 51, "A" * 52, "a" * 51 + "/"])
async def test_key_that_could_leave_the_directory_is_refused(
    store: DiskBlobStore, key: str
) -> None:
    with pytest.raises(InvalidBlobName):
        await store.discard_temp(DID, key)
    with pytest.raises(InvalidBlobName):
        await store.make_permanent(DID, key, Cid.of_raw(b""))
