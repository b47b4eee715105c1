"""Blobs as files: whole or absent, and never outside their directories."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import pytest

from actor_store.blob_store import disk_files
from actor_store.blob_store.base import (
    BlobStoreFull,
)
from actor_store.blob_store.disk import DiskBlobStore
from actor_store.blob_store.places import Place, PlacedBlob
from tests.actor_store.stored_blobs import DID, put, put_permanent, read


@pytest.fixture
def store(tmp_path: Path) -> DiskBlobStore:
    return DiskBlobStore(tmp_path / "blobs")


def files_below(directory: Path) -> list[str]:
    return sorted(str(p.relative_to(directory)) for p in directory.rglob("*") if p.is_file())


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
    moved = await put(store, b"moved here")
    steps.clear()
    blob = PlacedBlob(Place.QUARANTINED, DID, str(moved.cid), moved.size)
    await store.places.put(blob, key=moved.key)
    assert steps == ["rename", f"sync {DID}", "sync quarantine", "sync blobs"]
