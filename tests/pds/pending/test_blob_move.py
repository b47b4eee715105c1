"""Moving every blob of a store: until nothing is left, resumable, and past what is damaged."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actor_store.blob_store.base import BlobStoreFull
from actor_store.blob_store.disk import DiskBlobStore
from actor_store.blob_store.moving import COPIES_AT_ONCE, MovingBlobStore
from actor_store.blob_store.places import Place
from actor_store.layout import ActorLayout
from actor_store.store import ActorStore
from pds.pending import blob_move, blob_move_run
from pds.pending.blob_move import BlobMove
from pds.pending.blob_move_run import MoveRun, State
from repo.cid import Cid
from repo.keys import K256PrivateKey
from repo.tid import TidClock
from tests.actor_store.support import DID, OTHER_DID
from tests.actor_store.two_stores import TwoStores, contents, placed

_LONG_S = 60.0


@pytest.fixture
def stores(tmp_path: Path) -> TwoStores:
    return TwoStores.on_disk(tmp_path)


@pytest.fixture
async def actors(tmp_path: Path, stores: TwoStores) -> AsyncIterator[ActorStore]:
    clock = TidClock(lambda: 1_700_000_000_000_000, 7)
    store = ActorStore(layout=ActorLayout(tmp_path / "a"), blob_store=stores.both, clock=clock)
    await store.create(DID, K256PrivateKey.from_bytes(bytes(31) + b"\7"), lambda _: None)
    yield store
    await store.close()


@pytest.fixture
async def move(stores: TwoStores, actors: ActorStore) -> AsyncIterator[BlobMove]:
    move = BlobMove(stores.both, actors)
    yield move
    await move.close()


async def fill(stores: TwoStores, count: int) -> dict[tuple[Place, str, str], bytes]:
    """Put that many blobs of two accounts into each place of the old store; return them."""
    for place in Place:
        for number in range(count):
            did = DID if number % 2 else OTHER_DID
            await placed(stores.old, f"{place} {number}".encode(), place, did=did)
    return await contents(stores.old)


async def finished(move: BlobMove) -> MoveRun:
    return await move.go_on(None, bytes_per_s=None, answer_s=_LONG_S)


async def test_everything_is_moved_page_by_page(
    stores: TwoStores, move: BlobMove, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blob_move_run, "PAGE", 3)
    before = await fill(stores, 10)
    run = await finished(move)
    assert (run.state, run.moved_blobs, run.left) == (State.DONE, 30, [])
    assert run.moved_bytes == sum(map(len, before.values()))
    assert await contents(stores.old) == {}
    assert await contents(stores.new) == before


async def test_damage_is_told_and_does_not_stop_the_rest(stores: TwoStores, move: BlobMove) -> None:
    cid = Cid.of_raw(b"as it was")
    await placed(stores.old, b"as it is", name=str(cid))
    await fill(stores, 2)
    run = await finished(move)
    assert (run.state, run.moved_blobs, run.left_count) == (State.DONE, 6, 1)
    (left,) = run.left
    found = Cid.of_raw(b"as it is")
    assert left.to_json() == {
        "did": DID,
        "name": str(cid),
        "place": "permanent",
        "problem": f"it is damaged: its bytes are those of {found}",
    }
    assert list(await contents(stores.old)) == [(Place.PERMANENT, DID, str(cid))]
    # The next command looks at it again: it may have been repaired.
    again = await finished(move)
    assert (again.id != run.id, again.moved_blobs, again.left_count) == (True, 0, 1)
    await placed(stores.old, b"as it was")
    assert (await finished(move)).left_count == 0


async def test_an_upload_is_checked_against_its_row(
    stores: TwoStores, actors: ActorStore, move: BlobMove
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"upload"

    temp = await stores.old.put_temp(DID, chunks(), max_bytes=100)
    await actors.blob_files.keep_upload(DID, temp, mime_type="image/png")
    assert isinstance(stores.old, DiskBlobStore)
    await placed(stores.old, b"unload", Place.TEMPORARY, name=temp.key)
    assert (await finished(move)).left[0].blob.name == temp.key
    await placed(stores.old, b"upload", Place.TEMPORARY, name=temp.key)
    assert (await finished(move)).left == []
    assert await contents(stores.new) == {(Place.TEMPORARY, DID, temp.key): b"upload"}


async def test_an_answer_comes_before_the_end(stores: TwoStores, move: BlobMove) -> None:
    await placed(stores.old, os.urandom(600_000))
    run = await move.go_on(None, bytes_per_s=1000, answer_s=0.01)
    assert (run.state, run.moved_blobs) == (State.MOVING, 0)
    # A second command joins the run.
    assert await move.go_on(None, bytes_per_s=1000, answer_s=0) is run


async def test_closing_drops_copies_under_way(stores: TwoStores, move: BlobMove) -> None:
    await placed(stores.old, os.urandom(600_000))
    before = await contents(stores.old)
    run = await move.go_on(None, bytes_per_s=2_000_000, answer_s=0.01)
    await move.close()
    assert run.state is State.STOPPED
    assert await contents(stores.old) == before
    assert await contents(stores.new) == {}


async def test_a_move_that_nobody_asks_for_stops_and_is_continued(
    stores: TwoStores, move: BlobMove, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await fill(stores, 3)
    with monkeypatch.context() as patch:
        patch.setattr(blob_move, "_LEASE_S", -1.0)
        run = await move.go_on(None, bytes_per_s=None, answer_s=_LONG_S)
    assert (run.state, run.moved_blobs) == (State.STOPPED, 0)
    again = await move.go_on(run.id, bytes_per_s=None, answer_s=_LONG_S)
    assert (again.state, again.moved_blobs) == (State.DONE, len(before))
    assert await move.go_on(again.id, bytes_per_s=None) is again


async def test_a_new_store_that_fails_ends_the_run(
    stores: TwoStores, move: BlobMove, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await fill(stores, 3)

    async def full(*_args: object, **_kwargs: object) -> None:
        raise BlobStoreFull("no space for blobs")

    with monkeypatch.context() as patch:
        patch.setattr(stores.new, "put_temp", full)
        run = await finished(move)
        assert await move.go_on(run.id, bytes_per_s=None) is run
    assert (run.state, run.failure, run.left) == (State.FAILED, "no space for blobs", [])
    assert await contents(stores.old) == before
    assert (await finished(move)).moved_blobs == len(before)


async def test_an_old_store_that_cannot_be_read_ends_the_run(
    stores: TwoStores, move: BlobMove, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blob_move_run, "MAX_FAILED_READS", 4)
    await fill(stores, 4)

    async def broken(*_args: object) -> None:
        raise OSError("input/output error")

    monkeypatch.setattr(stores.old.places, "open", broken)
    run = await finished(move)
    assert run.state is State.FAILED
    assert "4 blobs in a row could not be read" in run.failure
    assert "input/output error" in run.failure


async def test_a_blob_that_changes_its_place_is_found_at_the_next_look(
    stores: TwoStores, move: BlobMove, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = await placed(stores.old, b"hidden", Place.QUARANTINED)
    cid = Cid.parse(blob.name)
    really = stores.new.put_temp

    async def shown_again(*args: object, **kwargs: object) -> object:
        await stores.both.unquarantine(DID, cid)
        return await really(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(stores.new, "put_temp", shown_again)
    run = await finished(move)
    assert (run.state, run.moved_blobs) == (State.DONE, 1)
    assert await contents(stores.new) == {(Place.PERMANENT, DID, blob.name): b"hidden"}


async def test_a_few_blobs_are_copied_at_a_time(
    stores: TwoStores, move: BlobMove, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(stores, 20)
    really, copying, most = stores.new.put_temp, 0, 0

    async def counted(*args: object, **kwargs: object) -> object:
        nonlocal copying, most
        copying += 1
        most = max(most, copying)
        try:
            return await really(*args, **kwargs)  # type: ignore[arg-type]
        finally:
            copying -= 1

    monkeypatch.setattr(stores.new, "put_temp", counted)
    assert (await finished(move)).moved_blobs == 60
    assert 1 < most <= COPIES_AT_ONCE


async def test_copies_keep_to_the_pace(stores: TwoStores, move: BlobMove) -> None:
    await placed(stores.old, os.urandom(1_000_000))
    clock = asyncio.get_running_loop().time
    started_s = clock()
    run = await move.go_on(None, bytes_per_s=2_500_000, answer_s=_LONG_S)
    assert (run.state, run.copied_bytes) == (State.DONE, 1_000_000)
    assert clock() - started_s > 0.39


async def test_a_limit_can_be_taken_back(stores: TwoStores, move: BlobMove) -> None:
    await placed(stores.old, os.urandom(1_000_000))
    slow = await move.go_on(None, bytes_per_s=1000, answer_s=0.01)
    run = await move.go_on(slow.id, bytes_per_s=None, answer_s=_LONG_S)
    assert (run is slow, run.state) == (True, State.DONE)


async def test_the_stores_go_on_as_one_after_the_move(stores: TwoStores, move: BlobMove) -> None:
    blob = await placed(stores.old, b"kept")
    assert (await finished(move)).state is State.DONE
    alone = MovingBlobStore(stores.new, DiskBlobStore(Path("/nonexistent")))
    async with await alone.open(DID, Cid.parse(blob.name)) as found:
        assert found.size == 4
