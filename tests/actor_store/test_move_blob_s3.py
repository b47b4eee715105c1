"""Moving blobs to a real S3 server and back, and operations on blobs that lie in both stores."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actor_store.blob_store.base import BlobFileMissing, BlobStoreUnavailable, new_temp_key
from actor_store.blob_store.move_blob import move_blob
from actor_store.blob_store.move_steps import BlobUnmovable, Outcome
from actor_store.blob_store.places import Place, PlacedBlob
from actor_store.blob_store.s3 import S3BlobStore
from repo.cid import Cid
from tests.actor_store.support import DID, OTHER_DID, collect
from tests.actor_store.two_stores import TwoStores, contents, no_pace, placed, places_of
from tests.seaweedfs import SeaweedFs

DATA = os.urandom(300_000)
CID = Cid.of_raw(DATA)


@pytest.fixture(params=["disk to s3", "s3 to disk"])
async def stores(
    request: pytest.FixtureRequest, tmp_path: Path, seaweedfs: SeaweedFs
) -> AsyncIterator[TwoStores]:
    stores = await TwoStores.between(request.param, tmp_path, seaweedfs)
    yield stores
    await stores.both.close()


async def move(stores: TwoStores, blob: PlacedBlob, cid: Cid | None = None) -> Outcome:
    return await move_blob(stores.both, blob, cid=cid or blob.cid, pace=no_pace)


async def test_bytes_keep_place_and_name(stores: TwoStores) -> None:
    blobs = [await placed(stores.old, DATA, place) for place in Place]
    blobs.append(await placed(stores.old, b"", did=OTHER_DID))
    before = await contents(stores.old)
    for blob in blobs:
        assert await move(stores, blob) is Outcome.MOVED
    assert await contents(stores.old) == {}
    assert await contents(stores.new) == before


async def test_a_blob_of_many_parts_is_moved(stores: TwoStores) -> None:
    data = os.urandom(30_000_000)
    blob = await placed(stores.old, data)
    assert await move(stores, blob) is Outcome.MOVED
    assert await collect(aiter(await stores.both.open(DID, Cid.of_raw(data)))) == data


async def test_damaged_bytes_stay_where_they_are(stores: TwoStores) -> None:
    blob = await placed(stores.old, b"something else", name=str(CID))
    with pytest.raises(BlobUnmovable, match="damaged"):
        await move(stores, blob)
    assert await places_of(stores.old) == {Place.PERMANENT: [str(CID)]}
    assert await contents(stores.new) == {}


async def test_a_blob_deleted_during_its_move_does_not_come_back(stores: TwoStores) -> None:
    blob = await placed(stores.old, DATA)

    async def delete(_size: int) -> None:
        await stores.both.delete(DID, [CID])

    assert await move_blob(stores.both, blob, cid=CID, pace=delete) is Outcome.GONE
    assert (await contents(stores.old), await contents(stores.new)) == ({}, {})


async def test_an_account_deleted_during_a_move_does_not_come_back(stores: TwoStores) -> None:
    blob = await placed(stores.old, DATA)

    async def delete(_size: int) -> None:
        await stores.both.delete_all(DID)

    assert await move_blob(stores.both, blob, cid=CID, pace=delete) is Outcome.GONE
    assert (await contents(stores.old), await contents(stores.new)) == ({}, {})


async def test_an_upload_of_the_old_store_becomes_permanent(stores: TwoStores) -> None:
    upload = await placed(stores.old, DATA, Place.TEMPORARY)
    await stores.both.make_permanent(DID, upload.name, CID)
    assert await places_of(stores.old) == {Place.PERMANENT: [str(CID)]}
    assert await move(stores, PlacedBlob(Place.PERMANENT, DID, str(CID), 0)) is Outcome.MOVED
    await stores.both.quarantine(DID, CID)
    assert await places_of(stores.new) == {Place.QUARANTINED: [str(CID)]}
    await stores.both.unquarantine(DID, CID)
    assert await collect(aiter(await stores.both.open(DID, CID))) == DATA


async def test_bytes_in_both_are_deleted_in_both(stores: TwoStores) -> None:
    for store in (stores.old, stores.new):
        await placed(store, DATA)
    await stores.both.delete(DID, [CID])
    assert (await contents(stores.old), await contents(stores.new)) == ({}, {})
    with pytest.raises(BlobFileMissing):
        await stores.both.open(DID, CID)
    with pytest.raises(BlobFileMissing):
        await stores.both.make_permanent(DID, new_temp_key(), CID)


async def test_a_reader_of_the_old_bytes_gets_all_of_them(stores: TwoStores) -> None:
    data = os.urandom(9_000_000)
    blob = await placed(stores.old, data)
    reader = await stores.both.open(DID, Cid.of_raw(data))
    chunks = aiter(reader)
    first = await anext(chunks)
    moving = asyncio.create_task(move(stores, blob))
    while await stores.new.places.find_size(blob) is None:
        assert not moving.done()
    assert first + await collect(chunks) == data
    assert await moving is Outcome.MOVED
    assert await contents(stores.old) == {}


async def test_pages_of_a_bucket_have_every_blob_once(seaweedfs: SeaweedFs, tmp_path: Path) -> None:
    store = (await TwoStores.between("s3 to disk", tmp_path, seaweedfs)).old
    assert isinstance(store, S3BlobStore)
    # What no blob store has put there.
    for key in ("blocks/README", "blocks/did:plc:x/", "blocks/did:plc:x/y/z", "other/x/y"):
        await store.bucket.put(key, b"")
    dids = ["did:web:a", "did:web:a.b", DID]
    put = [await placed(store, bytes(n), did=did) for did in dids for n in range(2)]
    found: list[PlacedBlob] = []
    while page := await store.places.list_blobs(
        Place.PERMANENT, after=found[-1].cursor if found else "", limit=2
    ):
        found += page
    strange = PlacedBlob(Place.PERMANENT, "did:plc:x", "y/z", 0)
    # SeaweedFS sorts by directory, AWS by key.
    assert sorted(blob.cursor for blob in found) == sorted(blob.cursor for blob in (*put, strange))
    with pytest.raises(BlobUnmovable, match="name"):
        await move_blob(TwoStores.of(store, store).both, strange, cid=None, pace=no_pace)
    await store.close()


async def test_a_new_store_that_goes_away_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / "s3").mkdir()
    server = SeaweedFs.start(tmp_path / "s3")
    try:
        stores = await TwoStores.between("disk to s3", tmp_path, server)
        blob = await placed(stores.old, DATA)

        async def die(_size: int) -> None:
            server.kill()

        with pytest.raises(BlobStoreUnavailable):
            await move_blob(stores.both, blob, cid=CID, pace=die)
        assert await contents(stores.old) == {(Place.PERMANENT, DID, blob.name): DATA}
        server.start_again()
        assert await move(stores, blob) is Outcome.MOVED
        assert await collect(aiter(await stores.both.open(DID, CID))) == DATA
        await stores.both.close()
    finally:
        server.kill()
