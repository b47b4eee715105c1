"""Moving one blob: whole and checked, whatever happens at the same time."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from actor_store.blob_store.base import BlobStoreFull, new_temp_key
from actor_store.blob_store.move_blob import move_blob
from actor_store.blob_store.move_steps import BlobUnmovable, OldStoreFailed, Outcome
from actor_store.blob_store.places import Place, PlacedBlob
from repo.cid import Cid
from tests.actor_store.support import DID
from tests.actor_store.two_stores import TwoStores, contents, no_pace, placed, places_of

DATA = os.urandom(1_200_000)
CID = Cid.of_raw(DATA)


@pytest.fixture
def stores(tmp_path: Path) -> TwoStores:
    return TwoStores.on_disk(tmp_path)


async def move(stores: TwoStores, blob: PlacedBlob, cid: Cid | None = CID) -> Outcome:
    return await move_blob(stores.both, blob, cid=cid, pace=no_pace)


def during_the_copy(act: Callable[[], Awaitable[None]]) -> Callable[[int], Awaitable[None]]:
    """Do something once, after the first chunk was read."""
    todo = [act]

    async def pace(_size: int) -> None:
        while todo:
            await todo.pop()()

    return pace


@pytest.mark.parametrize("place", list(Place))
async def test_bytes_keep_place_and_name(stores: TwoStores, place: Place) -> None:
    blob = await placed(stores.old, DATA, place)
    assert await move(stores, blob) is Outcome.MOVED
    assert await contents(stores.new) == {(place, DID, blob.name): DATA}
    assert await contents(stores.old) == {}


async def test_an_upload_without_a_row_is_moved_unchecked(stores: TwoStores) -> None:
    blob = await placed(stores.old, b"part of an upload", Place.TEMPORARY)
    assert await move(stores, blob, None) is Outcome.MOVED
    assert await places_of(stores.new) == {Place.TEMPORARY: [blob.name]}


@pytest.mark.parametrize("place", list(Place))
async def test_damaged_bytes_stay_where_they_are(stores: TwoStores, place: Place) -> None:
    name = new_temp_key() if place is Place.TEMPORARY else str(CID)
    blob = await placed(stores.old, b"something else", place, name=name)
    with pytest.raises(BlobUnmovable, match="damaged"):
        await move(stores, blob)
    assert await places_of(stores.old) == {place: [name]}
    assert await contents(stores.new) == {}


@pytest.mark.parametrize(
    ("place", "name"),
    [(Place.PERMANENT, "README.txt"), (Place.TEMPORARY, str(CID))],
    ids=["permanent", "temporary"],
)
async def test_a_file_of_another_name_stays_where_it_is(
    stores: TwoStores, tmp_path: Path, place: Place, name: str
) -> None:
    directory = tmp_path / "old" / ("tempt" if place is Place.TEMPORARY else "") / DID
    directory.mkdir(parents=True)
    (directory / name).write_bytes(DATA)
    (blob,) = await stores.old.places.list_blobs(place, limit=10)
    with pytest.raises(BlobUnmovable, match="name"):
        await move(stores, blob)
    assert (directory / name).exists()


async def test_a_copy_that_lies_there_already_is_replaced(stores: TwoStores) -> None:
    blob = await placed(stores.old, DATA)
    await placed(stores.new, DATA[:100], name=blob.name)
    assert await move(stores, blob) is Outcome.MOVED
    assert await contents(stores.new) == {(Place.PERMANENT, DID, blob.name): DATA}
    assert await contents(stores.old) == {}


async def test_a_blob_deleted_during_its_move_does_not_come_back(stores: TwoStores) -> None:
    blob = await placed(stores.old, DATA)
    pace = during_the_copy(lambda: stores.both.delete(DID, [CID]))
    assert await move_blob(stores.both, blob, cid=CID, pace=pace) is Outcome.GONE
    assert (await contents(stores.old), await contents(stores.new)) == ({}, {})


async def test_an_account_deleted_during_a_move_does_not_come_back(stores: TwoStores) -> None:
    blob = await placed(stores.old, DATA)
    pace = during_the_copy(lambda: stores.both.delete_all(DID))
    assert await move_blob(stores.both, blob, cid=CID, pace=pace) is Outcome.GONE
    assert (await contents(stores.old), await contents(stores.new)) == ({}, {})


async def test_a_blob_taken_down_during_its_move_is_not_served_again(stores: TwoStores) -> None:
    blob = await placed(stores.old, DATA)
    pace = during_the_copy(lambda: stores.both.quarantine(DID, CID))
    assert await move_blob(stores.both, blob, cid=CID, pace=pace) is Outcome.GONE
    assert await places_of(stores.new) == {}
    assert await places_of(stores.old) == {Place.QUARANTINED: [blob.name]}


async def test_an_upload_used_during_its_move_is_not_lost(stores: TwoStores) -> None:
    blob = await placed(stores.old, DATA, Place.TEMPORARY)
    pace = during_the_copy(lambda: stores.both.make_permanent(DID, blob.name, CID))
    assert await move_blob(stores.both, blob, cid=CID, pace=pace) is Outcome.GONE
    assert await places_of(stores.old) == {Place.PERMANENT: [str(CID)]}
    assert await places_of(stores.new) == {}


async def test_an_upload_used_while_its_copy_gets_its_name_leaves_nothing_behind(
    stores: TwoStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = await placed(stores.old, DATA, Place.TEMPORARY)
    really = stores.new.places.put
    posting: list[asyncio.Task[None]] = []

    async def put(blob: PlacedBlob, *, key: str) -> None:
        await really(blob, key=key)
        posting.append(asyncio.create_task(stores.both.make_permanent(DID, blob.name, CID)))
        await asyncio.sleep(0)

    monkeypatch.setattr(stores.new.places, "put", put)
    assert await move(stores, blob) is Outcome.MOVED
    await posting[0]
    assert await places_of(stores.old) == {}
    assert await places_of(stores.new) == {Place.PERMANENT: [str(CID)]}


async def test_a_blob_that_is_gone_is_none_to_move(stores: TwoStores) -> None:
    blob = PlacedBlob(Place.PERMANENT, DID, str(CID), len(DATA))
    assert await move(stores, blob) is Outcome.GONE


async def test_bytes_that_cannot_be_read_stay_where_they_are(
    stores: TwoStores, tmp_path: Path
) -> None:
    blob = await placed(stores.old, DATA)
    path = tmp_path / "old" / DID / blob.name
    path.unlink()
    path.symlink_to(path)
    with pytest.raises(OldStoreFailed, match="cannot be read"):
        await move(stores, blob)
    assert path.is_symlink()
    assert await contents(stores.new) == {}


async def test_stopping_a_copy_leaves_nothing_of_it(stores: TwoStores) -> None:
    blob = await placed(stores.old, DATA)

    async def stop() -> None:
        raise InterruptedByTest

    with pytest.raises(InterruptedByTest):
        await move_blob(stores.both, blob, cid=CID, pace=during_the_copy(stop))
    assert await contents(stores.new) == {}
    assert await places_of(stores.old) == {Place.PERMANENT: [blob.name]}


async def test_a_full_store_leaves_the_blob_in_the_old_one(
    stores: TwoStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = await placed(stores.old, DATA)

    async def full(*_args: object, **_kwargs: object) -> None:
        raise BlobStoreFull("no space")

    monkeypatch.setattr(stores.new, "put_temp", full)
    with pytest.raises(BlobStoreFull):
        await move(stores, blob)
    assert await contents(stores.old) == {(Place.PERMANENT, DID, blob.name): DATA}


class InterruptedByTest(Exception):
    """Stops a copy."""


@pytest.mark.parametrize("step", ["put_temp", "put", "remove"])
@pytest.mark.parametrize("done", [False, True])
async def test_a_move_that_ends_at_any_step_loses_nothing_and_is_repeated(
    stores: TwoStores, monkeypatch: pytest.MonkeyPatch, step: str, done: bool
) -> None:
    """Each step fails before it has done its work, or after: as if the process had ended there."""
    blob = await placed(stores.old, DATA)
    owner = {
        "put_temp": stores.new,
        "put": stores.new.places,
        "remove": stores.old.places,
    }[step]
    really = getattr(owner, step)

    async def fail(*args: object, **kwargs: object) -> None:
        if done:
            await really(*args, **kwargs)
        raise InterruptedByTest

    with monkeypatch.context() as patch:
        patch.setattr(owner, step, fail)
        with pytest.raises(InterruptedByTest):
            await move(stores, blob)
    async with await stores.both.open(DID, CID) as found:
        assert b"".join([chunk async for chunk in found]) == DATA
    assert await move(stores, blob) is (
        Outcome.GONE if (step, done) == ("remove", True) else Outcome.MOVED
    )
    assert await contents(stores.old) == {}
    new = await contents(stores.new)
    assert new[Place.PERMANENT, DID, blob.name] == DATA
    # What the upload sweep removes: bytes to which no row refers.
    left = {key: data for key, data in new.items() if key[0] is Place.TEMPORARY}
    assert len(left) == (1 if (step, done) in {("put_temp", True), ("put", False)} else 0)
