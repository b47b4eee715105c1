"""What a day without progress does to uploads."""

from __future__ import annotations

import time

import pytest

from pds.hold.oci.errors import HoldFull, TooManyUploads, UploadNotFound
from pds.hold.oci.sweep import KEPT_S
from pds.hold.oci.upload_rows import MAX_OPEN, MAX_OPEN_EACH
from tests.pds.hold.oci.kit import ALICE, BOB, MIB, Kit, sha256

LARGE = bytes(5 * MIB)


async def test_an_unfinished_upload_ends_after_a_day(kit: Kit) -> None:
    upload_id, parts = await kit.upload([LARGE])
    kit.clock.now_s += KEPT_S - 1
    assert await kit.sweep.sweep() == 0
    await kit.restart()
    kit.clock.now_s += 2
    assert await kit.sweep.sweep() == 1
    assert await kit.leftovers() == 0
    with pytest.raises(UploadNotFound):
        await kit.uploads.complete(upload_id, ALICE, sha256(LARGE), parts)


async def test_blobs_and_younger_uploads_stay(kit: Kit) -> None:
    digest = await kit.push(LARGE)
    kit.clock.now_s = time.time() + KEPT_S + 60
    upload_id, parts = await kit.upload([b"young"])
    await kit.sweep.sweep()
    assert await kit.stored() == [digest]
    await kit.uploads.complete(upload_id, ALICE, sha256(b"young"), parts)
    assert len(await kit.stored()) == 2


async def test_what_a_lost_database_knew_is_swept(kit: Kit) -> None:
    await kit.upload([LARGE])
    digest = await kit.push(b"blob")
    kit.db.run("DELETE FROM upload")
    kit.clock.now_s = time.time()
    assert await kit.sweep.sweep() == 0
    kit.clock.now_s += KEPT_S + 60
    assert await kit.sweep.sweep() == 1
    assert await kit.leftovers() == 0
    assert await kit.stored() == [digest]


async def test_an_interrupted_copy_is_swept(s3_kit: Kit) -> None:
    final = f"{s3_kit.prefix}blobs/sha256/ab/{'ab' * 32}/data"
    await s3_kit.bucket().uploads.create(final)
    s3_kit.clock.now_s = time.time() + KEPT_S + 60
    assert await s3_kit.sweep.sweep() == 1
    assert [upload async for upload in s3_kit.bucket().uploads.list(s3_kit.prefix)] == []


async def test_other_keys_of_the_bucket_are_left_alone(s3_kit: Kit) -> None:
    foreign = ("uploads/other/data", "uploads/temp-x/data", "other", "blobs/other")
    for key in foreign:
        await s3_kit.bucket().put(s3_kit.prefix + key, b"bytes")
    s3_kit.clock.now_s = time.time() + KEPT_S + 60
    assert await s3_kit.sweep.sweep() == 0
    assert await s3_kit.keys() == sorted(foreign)


async def test_unfinished_uploads_have_a_limit_in_total(s3_kit: Kit) -> None:
    rows = ((f"{number:032}", f"did:plc:{number}") for number in range(MAX_OPEN - 1))
    s3_kit.db.many(
        "INSERT INTO upload (id, did, storageId, state, changedAtMs) VALUES (?, ?, '', 'open', 0)",
        rows,
    )
    upload_id = await s3_kit.uploads.begin(ALICE)
    with pytest.raises(HoldFull):
        await s3_kit.uploads.begin(BOB)
    await s3_kit.uploads.abort(upload_id, ALICE)
    await s3_kit.uploads.begin(BOB)
    assert await s3_kit.leftovers() == 1


async def test_an_ended_upload_counts_no_more(kit: Kit) -> None:
    rows = ((f"{number:032}", ALICE) for number in range(MAX_OPEN_EACH - 1))
    kit.db.many(
        "INSERT INTO upload (id, did, storageId, state, changedAtMs) VALUES (?, ?, '', 'open', 0)",
        rows,
    )
    upload_id, parts = await kit.upload([b"bytes"])
    with pytest.raises(TooManyUploads):
        await kit.uploads.begin(ALICE)
    await kit.uploads.begin(BOB)
    await kit.uploads.complete(upload_id, ALICE, sha256(b"bytes"), parts)
    assert await kit.uploads.begin(ALICE)
