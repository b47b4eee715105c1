"""Two stores as one: each operation with the bytes in the old, the new, both or none."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actor_store.blob_store.base import (
    BlobFileMissing,
    BlobStoreUnavailable,
    OpenBlob,
    new_temp_key,
)
from actor_store.blob_store.move_blob import move_blob
from actor_store.blob_store.move_steps import Outcome
from actor_store.blob_store.places import Place
from repo.cid import Cid
from tests.actor_store.support import DID, OTHER_DID, collect
from tests.actor_store.two_stores import TwoStores, cid_of, no_pace, placed, places_of

DATA = b"picture"
CID = Cid.of_raw(DATA)
KEY = new_temp_key()
SOMEWHERE = pytest.mark.parametrize("where", ["old", "new", "both"])
ANYWHERE = pytest.mark.parametrize("where", ["old", "new", "both", "none"])


@pytest.fixture
def stores(tmp_path: Path) -> TwoStores:
    return TwoStores.on_disk(tmp_path)


async def put(stores: TwoStores, where: str, place: Place) -> None:
    name = KEY if place is Place.TEMPORARY else None
    for store in stores.put_in(where):
        await placed(store, DATA, place, name=name)


async def everything(stores: TwoStores) -> dict[Place, set[str]]:
    """The names in each place, in either store."""
    old, new = await places_of(stores.old), await places_of(stores.new)
    return {place: {*old.get(place, ()), *new.get(place, ())} for place in {*old, *new}}


async def read(stores: TwoStores, cid: Cid) -> bytes:
    return await collect(aiter(await stores.both.open(DID, cid)))


async def test_uploads_go_to_the_new_store(stores: TwoStores) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield DATA

    temp = await stores.both.put_temp(DID, chunks(), max_bytes=100)
    assert await places_of(stores.new) == {Place.TEMPORARY: [temp.key]}
    assert await places_of(stores.old) == {}
    await stores.both.make_permanent(DID, temp.key, temp.cid)
    assert await places_of(stores.new) == {Place.PERMANENT: [str(CID)]}


@SOMEWHERE
async def test_blobs_are_read_from_either(stores: TwoStores, where: str) -> None:
    await put(stores, where, Place.PERMANENT)
    assert await read(stores, CID) == DATA
    async with await stores.both.open(DID, CID) as blob:
        assert blob.size == len(DATA)


async def test_a_new_store_that_fails_leaves_the_old_one_readable(
    stores: TwoStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_args: object) -> None:
        raise BlobStoreUnavailable("no answer")

    monkeypatch.setattr(stores.new, "open", fail)
    await put(stores, "old", Place.PERMANENT)
    assert await read(stores, CID) == DATA
    await stores.both.delete(DID, [CID])
    with pytest.raises(BlobStoreUnavailable):
        await stores.both.open(DID, CID)


async def test_posting_needs_no_answer_of_the_old_store(
    stores: TwoStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(stores, "new", Place.TEMPORARY)
    for name in ("make_permanent", "discard_temp", "open"):
        monkeypatch.setattr(stores.old, name, None)
    await stores.both.make_permanent(DID, KEY, CID)
    assert await read(stores, CID) == DATA


async def test_a_blob_in_neither_is_missing(stores: TwoStores) -> None:
    with pytest.raises(BlobFileMissing):
        await stores.both.open(DID, CID)
    with pytest.raises(BlobFileMissing):
        await stores.both.make_permanent(DID, KEY, CID)


@SOMEWHERE
async def test_temporary_bytes_of_either_become_permanent(stores: TwoStores, where: str) -> None:
    await put(stores, where, Place.TEMPORARY)
    await stores.both.make_permanent(DID, KEY, CID)
    assert (await everything(stores))[Place.PERMANENT] == {str(CID)}
    # A repetition, as after a crash.
    await stores.both.make_permanent(DID, KEY, CID)
    assert await read(stores, CID) == DATA


@SOMEWHERE
@pytest.mark.parametrize("temporary", ["old", "new", "both"])
async def test_bytes_that_are_permanent_already_stay_so(
    stores: TwoStores, where: str, temporary: str
) -> None:
    await put(stores, where, Place.PERMANENT)
    await put(stores, temporary, Place.TEMPORARY)
    await stores.both.make_permanent(DID, KEY, CID)
    found = await everything(stores)
    assert found.pop(Place.PERMANENT) == {str(CID)}
    # The sweep of uploads removes what a move that was cut off has left in the old store.
    assert found in ({}, {Place.TEMPORARY: {KEY}})
    assert Place.TEMPORARY not in await places_of(stores.new)


@ANYWHERE
async def test_permanent_bytes_of_either_become_temporary(stores: TwoStores, where: str) -> None:
    await put(stores, where, Place.PERMANENT)
    await stores.both.make_temporary(DID, KEY, CID)
    assert await everything(stores) == ({} if where == "none" else {Place.TEMPORARY: {KEY}})


@ANYWHERE
async def test_bytes_of_both_are_deleted(stores: TwoStores, where: str) -> None:
    await put(stores, where, Place.PERMANENT)
    await put(stores, where, Place.TEMPORARY)
    await stores.both.delete(DID, [CID])
    assert await everything(stores) == ({} if where == "none" else {Place.TEMPORARY: {KEY}})
    await stores.both.discard_temp(DID, KEY)
    assert await everything(stores) == {}


@ANYWHERE
async def test_quarantine_and_back_in_both(stores: TwoStores, where: str) -> None:
    await put(stores, where, Place.PERMANENT)
    await stores.both.quarantine(DID, CID)
    names = set() if where == "none" else {str(CID)}
    assert (await everything(stores)).get(Place.QUARANTINED, set()) == names
    with pytest.raises(BlobFileMissing):
        await stores.both.open(DID, CID)
    await stores.both.unquarantine(DID, CID)
    assert (await everything(stores)).get(Place.PERMANENT, set()) == names


@ANYWHERE
async def test_all_bytes_of_an_account_are_deleted_in_both(stores: TwoStores, where: str) -> None:
    for place in Place:
        await put(stores, where, place)
    other = await placed(stores.old, DATA, did=OTHER_DID)
    await stores.both.delete_all(DID)
    assert await everything(stores) == {Place.PERMANENT: {other.name}}
    assert await stores.old.places.find_size(other) == len(DATA)


@ANYWHERE
async def test_temporary_bytes_of_both_are_listed_once(stores: TwoStores, where: str) -> None:
    await put(stores, where, Place.TEMPORARY)
    expected = [] if where == "none" else [KEY]
    assert await stores.both.list_temp(DID, before_s=time.time() + 60) == expected
    assert await stores.both.list_temp(DID, before_s=0) == []
    assert await stores.both.list_temp_dids() == ([] if where == "none" else [DID])


async def test_an_account_is_deleted_although_a_copy_gets_in_the_way(stores: TwoStores) -> None:
    await put(stores, "both", Place.PERMANENT)
    really, failures = stores.new.delete_all, [OSError("not empty"), OSError("not empty")]

    async def delete_all(did: str) -> None:
        if failures:
            raise failures.pop()
        await really(did)

    stores.new.delete_all = delete_all  # type: ignore[method-assign]
    await stores.both.delete_all(DID)
    assert await everything(stores) == {}


async def test_a_reader_keeps_the_old_bytes_until_it_has_read_them(stores: TwoStores) -> None:
    blob = await placed(stores.old, DATA)
    reader = await stores.both.open(DID, CID)
    moving = asyncio.create_task(move_blob(stores.both, blob, cid=CID, pace=no_pace))
    while await stores.new.places.find_size(blob) is None:
        assert not moving.done()
    # New readers do not delay the move any further.
    async with await stores.both.open(DID, CID) as later:
        assert await stores.old.places.find_size(blob) == len(DATA)
        assert await collect(aiter(reader)) == DATA
        assert await moving is Outcome.MOVED
        assert await collect(aiter(later)) == DATA
    assert await places_of(stores.old) == {}


async def test_a_reader_that_has_looked_before_the_copy_was_there_is_waited_for(
    stores: TwoStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = await placed(stores.old, DATA)
    really, looked, may_go_on = stores.new.open, asyncio.Event(), asyncio.Event()

    async def look(did: str, cid: Cid) -> OpenBlob:
        try:
            return await really(did, cid)
        except BlobFileMissing:
            looked.set()
            await may_go_on.wait()
            raise

    monkeypatch.setattr(stores.new, "open", look)
    reader = asyncio.create_task(stores.both.open(DID, CID))
    await looked.wait()
    moving = asyncio.create_task(move_blob(stores.both, blob, cid=CID, pace=no_pace))
    while await stores.new.places.find_size(blob) is None:
        assert not moving.done()
    may_go_on.set()
    async with await reader as found:
        assert await stores.old.places.find_size(blob) == len(DATA)
        assert not moving.done()
        assert await collect(aiter(found)) == DATA
    assert await moving is Outcome.MOVED


async def test_a_slow_reader_leaves_the_bytes_for_later(
    stores: TwoStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actor_store.blob_store.old_readers.PATIENCE_S", 0.01)
    blob = await placed(stores.old, DATA)
    async with await stores.both.open(DID, CID):
        for _ in range(2):
            assert await move_blob(stores.both, blob, cid=CID, pace=no_pace) is Outcome.IN_USE
        assert await stores.old.places.find_size(blob) == len(DATA)
    assert await move_blob(stores.both, blob, cid=CID, pace=no_pace) is Outcome.MOVED
    assert await places_of(stores.old) == {}
    assert await places_of(stores.new) == {Place.PERMANENT: [str(cid_of(blob))]}
