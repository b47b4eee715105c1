"""Listing the files of a disk blob store: every one once, in order, a page at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from actor_store.blob_store.base import BlobFileMissing, InvalidBlobName, new_temp_key
from actor_store.blob_store.disk import DiskBlobStore
from actor_store.blob_store.places import Place, PlacedBlob
from repo.cid import Cid
from tests.actor_store.support import DID, OTHER_DID
from tests.actor_store.two_stores import placed


@pytest.fixture
def store(tmp_path: Path) -> DiskBlobStore:
    return DiskBlobStore(tmp_path / "blobs")


async def listed(store: DiskBlobStore, place: Place, *, limit: int) -> list[PlacedBlob]:
    found: list[PlacedBlob] = []
    while page := await store.places.list_blobs(
        place, after=found[-1].cursor if found else "", limit=limit
    ):
        assert len(page) <= limit
        found += page
    return found


@pytest.mark.parametrize("place", list(Place))
@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
async def test_pages_have_every_blob_once(store: DiskBlobStore, place: Place, limit: int) -> None:
    # A dot comes before the slash after a DID: the order of S3, which cursors follow.
    dids = [OTHER_DID, DID, "did:web:a", "did:web:a.b", "did:web:a%3A80"]
    put = [await placed(store, bytes(n), place, did=did) for did in dids for n in range(4)]
    found = await listed(store, place, limit=limit)
    assert found == sorted(put, key=lambda blob: blob.cursor)
    for other in {*Place} - {place}:
        assert await listed(store, other, limit=limit) == []


async def test_only_files_of_accounts_are_listed(store: DiskBlobStore, tmp_path: Path) -> None:
    blob = await placed(store, b"one")
    blobs = tmp_path / "blobs"
    (blobs / "lost+found").mkdir()
    (blobs / "lost+found" / "x").write_bytes(b"")
    (blobs / "did:plc:file").write_bytes(b"")
    (blobs / DID / "directory").mkdir()
    (blobs / DID / ".0123.part").write_bytes(b"what a crash has left")
    (blobs / DID / "loop").symlink_to("loop")
    (blobs / DID / "nowhere").symlink_to("absent")
    assert await listed(store, Place.PERMANENT, limit=10) == [blob]


async def test_a_blob_that_is_not_there(store: DiskBlobStore) -> None:
    blob = PlacedBlob(Place.PERMANENT, DID, str(Cid.of_raw(b"absent")), 6)
    assert await store.places.find_size(blob) is None
    await store.places.remove(blob)
    with pytest.raises(BlobFileMissing):
        await store.places.open(blob)
    with pytest.raises(BlobFileMissing):
        await store.places.put(blob, key=new_temp_key())


@pytest.mark.parametrize("did", ["..", "did:plc:a/../..", "", "tempt"])
async def test_no_name_leads_out_of_the_directory(store: DiskBlobStore, did: str) -> None:
    with pytest.raises(InvalidBlobName):
        await store.places.open(PlacedBlob(Place.PERMANENT, did, str(Cid.of_raw(b"")), 0))
    for place in Place:
        with pytest.raises(InvalidBlobName):
            await store.places.remove(PlacedBlob(place, DID, f"../{did}", 0))
