"""Moving the layers of a hold: all of them, whole, while others read, push and delete."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from actor_store.blob_store.base import BlobStoreFull, BlobStoreUnavailable
from actor_store.blob_store.move_steps import Outcome
from actor_store.blob_store.s3_location import S3Location
from pds.hold.oci.move_layer import move_layer
from pds.hold.oci.storage import StoredBlob
from pds.hold.oci.sweep import KEPT_S
from pds.pending import blob_move_run
from pds.pending.blob_move_run import State
from tests.actor_store.two_stores import no_pace
from tests.pds.hold.oci.conftest import opened_kit
from tests.pds.hold.oci.kit import HOLD, MIB, Kit, listed, sha256

LARGE = os.urandom(17 * MIB + 5)
"""Three parts on S3."""


@pytest.fixture
async def disk_to_s3(tmp_path: Path, shared_location: S3Location) -> AsyncIterator[Kit]:
    async with opened_kit(tmp_path, "disk to s3", shared_location) as kit:
        yield kit


async def stored(kit: Kit, data: bytes) -> StoredBlob:
    """A blob of the old store."""
    found = await kit.both.old.find(await kit.put(kit.both.old, data))
    assert found is not None
    return found


async def test_every_layer_moves(moving: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blob_move_run, "PAGE", 3)
    layers = [b"", LARGE, bytes(8 * MIB), *(os.urandom(50) for _ in range(8))]
    for data in layers:
        await moving.put(moving.both.old, data)
    run = await moving.move()
    assert (run.state, run.moved_blobs, run.left) == (State.DONE, len(layers), [])
    assert run.moved_bytes == run.copied_bytes == sum(map(len, layers))
    assert await listed(moving.both.old) == []
    assert await listed(moving.both.new) == sorted(map(sha256, layers))
    for data in layers:
        assert await moving.read(sha256(data)) == data
    assert await moving.leftovers() == 0


async def test_a_layer_in_both_is_moved_again(moving: Kit) -> None:
    for storage in (moving.both.old, moving.both.new):
        await moving.put(storage, LARGE)
    assert (await moving.move()).moved_blobs == 1
    assert await listed(moving.both.old) == []
    assert await moving.read(sha256(LARGE)) == LARGE


async def test_damage_stays_and_is_told(disk_to_s3: Kit) -> None:
    right, wrong = sha256(b"as it was"), LARGE
    await disk_to_s3.put(disk_to_s3.both.old, wrong, name=right)
    await disk_to_s3.put(disk_to_s3.both.old, b"another")
    run = await disk_to_s3.move()
    assert (run.state, run.moved_blobs, run.left_count) == (State.DONE, 1, 1)
    assert run.left[0].to_json() == {
        "did": HOLD,
        "name": right,
        "place": "layers",
        "problem": "it is damaged: its bytes have another digest",
    }
    assert await listed(disk_to_s3.both.old) == [right]
    assert await listed(disk_to_s3.both.new) == [sha256(b"another")]
    assert await disk_to_s3.leftovers() == 0


async def test_a_new_store_that_fails_ends_the_run(
    moving: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    await moving.put(moving.both.old, LARGE)

    async def full(*_args: object) -> None:
        raise BlobStoreFull("no space for blobs")

    with monkeypatch.context() as patch:
        patch.setattr(moving.both.new, "receive", full)
        run = await moving.move()
    assert (run.state, run.failure) == (State.FAILED, "no space for blobs")
    assert await moving.read(sha256(LARGE)) == LARGE
    assert (await moving.move()).moved_blobs == 1


async def test_a_layer_that_is_deleted_meanwhile_does_not_come_back(moving: Kit) -> None:
    blob = await stored(moving, LARGE)

    async def delete(_size: int) -> None:
        await moving.blobs.delete([blob.digest], unless=lambda _: False)

    # On disk an open file outlives its name, and S3 may cut the copy off.
    outcome = await move_layer(moving.both, blob, pace=delete)
    assert outcome is Outcome.GONE
    assert await listed(moving.both) == []
    assert await moving.leftovers() == 0


async def test_a_copy_that_a_deletion_cuts_off_is_no_damage(
    moving: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = await stored(moving, LARGE)

    async def cut_off(*_args: object) -> AsyncIterator[bytes]:
        yield LARGE[: 9 * MIB]
        await moving.both.delete([blob.digest])
        raise BlobStoreUnavailable("cut off")

    monkeypatch.setattr(moving.both.old, "read", cut_off)
    assert await move_layer(moving.both, blob, pace=no_pace) is Outcome.GONE
    assert await moving.leftovers() == 0


async def test_a_stopped_copy_leaves_nothing(moving: Kit) -> None:
    blob = await stored(moving, LARGE)
    copied = 0

    async def stop(size: int) -> None:
        nonlocal copied
        copied += size
        if copied > 12 * MIB:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        await move_layer(moving.both, blob, pace=stop)
    assert await listed(moving.both.new) == []
    assert await moving.leftovers() == 0
    assert await moving.read(blob.digest) == LARGE


async def test_a_copy_under_way_is_no_leftover_however_long_it_takes(moving: Kit) -> None:
    blob = await stored(moving, LARGE)
    moving.clock.now_s = 4_000_000_000.0 + KEPT_S
    swept = []

    async def sweep(_size: int) -> None:
        swept.append(await moving.sweep.sweep())

    assert await move_layer(moving.both, blob, pace=sweep) is Outcome.MOVED
    assert sum(swept) == 0
    assert await moving.read(blob.digest) == LARGE


async def test_whoever_reads_the_old_bytes_keeps_them(
    moving: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actor_store.blob_store.old_readers.PATIENCE_S", 0.01)
    blob = await stored(moving, LARGE)
    reading = moving.both.read(blob.digest, 0, len(LARGE))
    data = await anext(reading)
    assert await move_layer(moving.both, blob, pace=no_pace) is Outcome.IN_USE
    # It is not copied again while the reader is there.
    assert await move_layer(moving.both, blob, pace=_unexpected) is Outcome.IN_USE
    assert await moving.read(blob.digest) == LARGE
    data += b"".join([chunk async for chunk in reading])
    assert data == LARGE
    assert await move_layer(moving.both, blob, pace=no_pace) is Outcome.MOVED
    assert await listed(moving.both.old) == []


async def test_a_delete_waits_for_a_copy_that_is_being_named(
    moving: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = await stored(moving, LARGE)
    receive = moving.both.new.receive
    deleting: list[asyncio.Task[Any]] = []

    async def receive_and_delete(*args: Any) -> Any:
        arrived = await receive(*args)
        keep = arrived.keep

        async def keep_slowly() -> None:
            deleting.append(asyncio.create_task(moving.both.delete([blob.digest])))
            await asyncio.sleep(0)
            assert await moving.both.old.find(blob.digest) is not None
            await keep()

        arrived.keep = keep_slowly  # type: ignore[method-assign]
        return arrived

    monkeypatch.setattr(moving.both.new, "receive", receive_and_delete)
    assert await move_layer(moving.both, blob, pace=no_pace) is Outcome.MOVED
    await deleting[0]
    assert await listed(moving.both) == []


async def _unexpected(_size: int) -> None:
    raise AssertionError("copied again")
