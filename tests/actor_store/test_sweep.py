"""Uploads that no record refers to: deleted in time, and none that a record has come to need."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest

from actor_store.blob_files import BlobFiles
from actor_store.blob_store.disk import DiskBlobStore
from actor_store.blobs import SweptUploads
from actor_store.errors import BlobNotFound, RecordExists
from actor_store.store import ActorStore
from tests.actor_store.support import DID, blob_value, commit, post
from tests.actor_store.test_blob_files import _files, _upload

LATER_S = 3_600.0


@pytest.fixture
def blobs(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


async def sweep(
    actors: ActorStore, *, after_s: float = LATER_S, limit: int = 100, parts_only: bool = False
) -> SweptUploads:
    """Sweep what was there `after_s` before a time that is an hour from now."""
    before_s = time.time() + LATER_S - after_s + 1
    return await actors.blob_files.sweep(DID, before_s=before_s, limit=limit, parts_only=parts_only)


def _temporary(blobs: Path) -> list[Path]:
    return list((blobs / "tempt" / DID).iterdir())


async def rows(actors: ActorStore) -> int:
    return await actors.read(DID, lambda actor: actor.blob.count())


async def test_an_old_upload_without_a_record_goes_with_its_row(
    actors: ActorStore, blob_store: DiskBlobStore, blobs: Path
) -> None:
    await _upload(actors, blob_store, b"never used")
    used = await _upload(actors, blob_store, b"used")
    await commit(actors, DID, [post("a", embed=blob_value(used))])
    assert await sweep(actors) == SweptUploads(1, len(b"never used"), 0)
    assert _files(blobs) == {str(used.cid)}
    assert (await actors.read(DID, lambda actor: actor.blob.totals())).size_bytes == len(b"used")
    assert await sweep(actors) == SweptUploads()


async def test_a_young_upload_stays(actors: ActorStore, blob_store: DiskBlobStore) -> None:
    await _upload(actors, blob_store, b"just now")
    assert await sweep(actors, after_s=2 * LATER_S) == SweptUploads()
    assert await rows(actors) == 1


async def test_an_upload_is_as_young_as_its_last_repetition(
    actors: ActorStore, blob_store: DiskBlobStore, blobs: Path
) -> None:
    ref = await _upload(actors, blob_store, b"again")
    (file,) = _temporary(blobs)
    db = await actors.read(DID, lambda actor: actor.repo._db)
    db.run("UPDATE blob SET createdAt = '2020-01-01T00:00:00.000Z'")
    os.utime(file, (0, 0))
    await _upload(actors, blob_store, b"again")
    assert await sweep(actors, after_s=2 * LATER_S) == SweptUploads()
    await commit(actors, DID, [post("a", embed=blob_value(ref))])


async def test_what_an_interrupted_upload_left_goes(
    actors: ActorStore, blob_store: DiskBlobStore, blobs: Path
) -> None:
    await _upload(actors, blob_store, b"kept for a record")
    part = blobs / "tempt" / DID / ("a" * 52)
    part.write_bytes(b"half of a")
    assert await sweep(actors, parts_only=True) == SweptUploads(0, 0, 1)
    assert not part.exists()
    assert await rows(actors) == 1
    await actors.destroy(DID)
    part.parent.mkdir(parents=True)
    part.write_bytes(b"half of a")
    assert await sweep(actors) == SweptUploads(0, 0, 1)
    assert _files(blobs) == set()


async def test_a_taken_down_upload_stays_known(
    actors: ActorStore, blob_store: DiskBlobStore
) -> None:
    ref = await _upload(actors, blob_store, b"forbidden")
    await actors.transact(DID, lambda actor: actor.blob.set_takedown(ref.cid, "ref"))
    assert await sweep(actors) == SweptUploads()
    assert await rows(actors) == 1


async def test_a_sweep_takes_so_many_at_a_time(
    actors: ActorStore, blob_store: DiskBlobStore, blobs: Path
) -> None:
    for n in range(5):
        await _upload(actors, blob_store, f"upload {n}".encode())
    assert [(await sweep(actors, limit=2)).uploads for _ in range(4)] == [2, 2, 1, 0]
    assert _files(blobs) == set()


async def test_a_refused_write_leaves_its_uploads_to_the_sweep(
    actors: ActorStore, blob_store: DiskBlobStore, blobs: Path
) -> None:
    await commit(actors, DID, [post("a")])
    ref = await _upload(actors, blob_store, b"picture")
    with pytest.raises(RecordExists):
        await commit(actors, DID, [post("a", embed=blob_value(ref))])
    assert len(_temporary(blobs)) == 1
    assert (await sweep(actors)).uploads == 1
    assert _files(blobs) == set()


async def test_a_record_that_is_written_during_a_sweep_keeps_its_blob_or_is_refused(
    actors: ActorStore, blob_store: DiskBlobStore, blobs: Path
) -> None:
    for n in range(40):
        ref = await _upload(actors, blob_store, f"picture {n}".encode())
        writing = commit(actors, DID, [post(f"r{n}", embed=blob_value(ref))])
        tasks = [writing, sweep(actors)] if n % 2 else [sweep(actors), writing]
        results = await asyncio.gather(*tasks, return_exceptions=True)
        written = not any(isinstance(result, BlobNotFound) for result in results)
        assert (blobs / DID / str(ref.cid)).exists() is written
    assert await rows(actors) == len(list((blobs / DID).glob("*")))


@pytest.mark.parametrize("first", ["record", "sweep"])
async def test_between_finding_an_upload_and_deleting_it_a_record_may_come(
    actors: ActorStore,
    blob_store: DiskBlobStore,
    blobs: Path,
    monkeypatch: pytest.MonkeyPatch,
    first: str,
) -> None:
    ref = await _upload(actors, blob_store, b"picture")
    read_in_thread = actors.read_in_thread

    async def write() -> None:
        await commit(actors, DID, [post("a", embed=blob_value(ref))])

    async def read_then_write(did: str, fn: Any) -> Any:
        found = await read_in_thread(did, fn)
        await write()
        return found

    if first == "record":
        monkeypatch.setattr(actors, "read_in_thread", read_then_write)
        assert (await sweep(actors)).uploads == 0
        assert (blobs / DID / str(ref.cid)).exists()
    else:
        assert (await sweep(actors)).uploads == 1
        with pytest.raises(BlobNotFound):
            await write()
        assert _files(blobs) == set()


async def test_a_crash_between_row_and_bytes_leaves_bytes_and_no_reference(
    actors: ActorStore, blob_store: DiskBlobStore, blobs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = await _upload(actors, blob_store, b"picture")

    async def crash(*_: object) -> None:
        raise OSError("the power is gone")

    with monkeypatch.context() as patch:
        patch.setattr(BlobFiles, "_delete_bytes", crash)
        with pytest.raises(OSError, match="power"):
            await sweep(actors)
    assert await rows(actors) == 0
    with pytest.raises(BlobNotFound):
        await commit(actors, DID, [post("a", embed=blob_value(ref))])
    assert await sweep(actors) == SweptUploads(0, 0, 1)
    assert _files(blobs) == set()
