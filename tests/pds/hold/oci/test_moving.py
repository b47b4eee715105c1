"""Two stores as one: each operation with a blob in the old, the new, both or none."""

from __future__ import annotations

from contextlib import aclosing

import pytest
from yarl import URL

from actor_store.blob_store.base import BlobStoreUnavailable
from pds.hold.oci.errors import BlobNotFound, UploadNotFound
from pds.hold.oci.sweep import KEPT_S
from pds.hold.oci.upload_rows import UploadState
from pds.pending.blob_move_run import State
from tests.pds.hold.oci.kit import ALICE, MIB, Kit, listed, sha256

DATA = b"a layer"
DIGEST = sha256(DATA)
ANYWHERE = pytest.mark.parametrize("where", ["old", "new", "both", "none"])


async def place(kit: Kit, where: str, data: bytes = DATA) -> None:
    for name, storage in (("old", kit.both.old), ("new", kit.both.new)):
        if where in (name, "both"):
            await kit.put(storage, data)


async def settle_in_old(kit: Kit) -> None:
    """Go on with the old store only, as before the restart that begins a move."""
    kit.kind = kit.kind.partition(" to ")[0]
    await kit.restart()


async def begin_to_move(kit: Kit, to: str) -> None:
    kit.kind = f"{kit.kind} to {to}"
    await kit.restart()


@ANYWHERE
async def test_a_blob_is_found_and_read_wherever_it_lies(moving: Kit, where: str) -> None:
    await place(moving, where)
    found = await moving.both.find(DIGEST)
    if where == "none":
        assert found is None
        with pytest.raises(BlobNotFound):
            await anext(moving.both.read(DIGEST, 0, 3))
        return
    assert found is not None
    assert (found.digest, found.size_bytes) == (DIGEST, len(DATA))
    assert await moving.read(DIGEST) == DATA
    assert [chunk async for chunk in moving.both.read(DIGEST, 2, 4)] == [DATA[2:4]]


@ANYWHERE
async def test_only_what_lies_on_the_new_s3_has_a_url(moving: Kit, where: str) -> None:
    await place(moving, where)
    url = await moving.both.presign(DIGEST, "GET")
    if moving.kind != "disk to s3" or where in ("old", "none"):
        assert url is None
        return
    assert url is not None
    async with moving.http.get(URL(url, encoded=True)) as answer:
        assert await answer.read() == DATA


@ANYWHERE
async def test_a_deleted_blob_is_gone_from_both(moving: Kit, where: str) -> None:
    await place(moving, where)
    await moving.both.presign(DIGEST, "GET")
    await moving.both.delete([DIGEST])
    assert await moving.both.find(DIGEST) is None
    assert await moving.both.presign(DIGEST, "GET") is None
    assert await listed(moving.both.old) == await listed(moving.both.new) == []


async def test_lists_are_merged_in_order(moving: Kit) -> None:
    blobs = [str(number).encode() for number in range(12)]
    for number, data in enumerate(blobs):
        await place(moving, ("old", "new", "both")[number % 3], data)
    digests = sorted(map(sha256, blobs))
    assert await listed(moving.both) == digests
    after = [blob.digest async for blob in moving.both.list(digests[4])]
    assert after == digests[5:]


async def test_what_is_in_the_old_store_is_served_while_the_new_one_fails(
    moving: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    await place(moving, "old")

    async def fail(*_args: object) -> None:
        raise BlobStoreUnavailable("down")

    monkeypatch.setattr(moving.both.new, "find", fail)
    assert await moving.read(DIGEST) == DATA
    assert await moving.both.presign(DIGEST, "GET") is None
    with pytest.raises(BlobStoreUnavailable):
        await moving.both.find(sha256(b"elsewhere"))


async def test_uploads_go_to_the_new_store(moving: Kit) -> None:
    digest = await moving.push(bytes(5 * MIB), b"end")
    assert await listed(moving.both.new) == [digest]
    assert await listed(moving.both.old) == []
    assert await moving.leftovers() == 0


async def test_an_open_upload_of_the_old_store_has_to_begin_again(moving: Kit) -> None:
    _, _, to = moving.kind.partition(" to ")
    await settle_in_old(moving)
    upload_id, parts = await moving.upload([bytes(5 * MIB), b"end"])
    await begin_to_move(moving, to)
    with pytest.raises(UploadNotFound):
        await moving.uploads.part_url(upload_id, ALICE, 3)
    with pytest.raises(UploadNotFound):
        await moving.send(upload_id, 3, b"more")
    with pytest.raises(UploadNotFound):
        await moving.uploads.complete(upload_id, ALICE, sha256(bytes(5 * MIB) + b"end"), parts)
    assert await moving.leftovers() == 1
    assert (await moving.move()).state is State.DONE
    assert await moving.leftovers() == 0
    assert not moving.rows.exists(upload_id)


async def test_aborting_an_upload_of_the_old_store_leaves_nothing(moving: Kit) -> None:
    _, _, to = moving.kind.partition(" to ")
    await settle_in_old(moving)
    upload_id, _ = await moving.upload([b"part"])
    await begin_to_move(moving, to)
    await moving.uploads.abort(upload_id, ALICE)
    assert await moving.leftovers() == 0
    assert not moving.rows.exists(upload_id)


async def test_the_sweep_finds_what_is_left_in_both(moving: Kit) -> None:
    _, _, to = moving.kind.partition(" to ")
    await settle_in_old(moving)
    await moving.upload([b"old part"])
    await begin_to_move(moving, to)
    await moving.upload([b"new part"])
    moving.db.run("DELETE FROM upload")
    assert await moving.leftovers() == 2
    moving.clock.now_s = 4_000_000_000.0 + KEPT_S
    assert await moving.sweep.sweep() == 2
    assert await moving.leftovers() == 0


async def test_what_was_joined_in_the_old_store_is_finished_and_moved(moving: Kit) -> None:
    _, _, to = moving.kind.partition(" to ")
    await settle_in_old(moving)
    upload_id, parts = await moving.upload([bytes(5 * MIB), b"end"])
    digest = sha256(bytes(5 * MIB) + b"end")
    upload = moving.rows.find(upload_id)
    assert upload is not None
    size_bytes = await moving.storage.join(upload_id, upload.storage_id, parts)
    await moving.rows.set_joined(upload_id, digest, size_bytes, now_ms=int(moving.clock() * 1000))
    await begin_to_move(moving, to)
    moving.finisher.resume()
    assert (await moving.move()).state is State.DONE
    upload = moving.rows.find(upload_id)
    assert upload is not None
    assert upload.state is UploadState.COMPLETED
    assert await listed(moving.both.new) == [digest]
    assert await listed(moving.both.old) == []
    assert await moving.leftovers() == 0
    assert await moving.read(digest) == bytes(5 * MIB) + b"end"


async def test_what_moves_between_two_looks_is_found(
    moving: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    await place(moving, "old")
    find = moving.both.old.find

    async def move_first(digest: object) -> object:
        monkeypatch.undo()
        await moving.move()
        return await find(DIGEST)

    monkeypatch.setattr(moving.both.old, "find", move_first)
    assert await moving.both.find(DIGEST) is not None
    assert await listed(moving.both.new) == [DIGEST]


async def test_what_moves_before_its_first_byte_is_read_in_the_new_store(
    moving: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    await place(moving, "both")
    monkeypatch.setattr(moving.both, "_is_in_new", _never)
    await moving.both.old.delete([DIGEST])
    async with aclosing(moving.both.read(DIGEST, 0, len(DATA))) as chunks:
        assert b"".join([chunk async for chunk in chunks]) == DATA


async def _never(_digest: object) -> bool:
    return False
