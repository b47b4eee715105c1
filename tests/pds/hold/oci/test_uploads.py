"""Uploads by parts, on each of the stores."""

from __future__ import annotations

import asyncio
import os
from itertools import pairwise

import pytest

from pds.hold.oci.errors import (
    DigestMismatch,
    InvalidPartNumber,
    MissingParts,
    PartsRefused,
    UploadNotFound,
)
from pds.hold.oci.storage import Part
from tests.pds.hold.oci.kit import ALICE, BOB, MIB, Kit, sha256

LARGE = os.urandom(5 * MIB)
"""As much as every part but the last needs."""


async def test_parts_become_a_blob(kit: Kit) -> None:
    digest = await kit.push(LARGE, LARGE[::-1], b"the end")
    assert await kit.read(digest) == LARGE + LARGE[::-1] + b"the end"
    assert await kit.stored() == [digest]
    assert await kit.leftovers() == 0


async def test_one_small_part_is_enough(kit: Kit) -> None:
    digest = await kit.push(b"config")
    assert await kit.read(digest) == b"config"


async def test_parts_may_come_and_be_named_in_any_order_and_with_gaps(kit: Kit) -> None:
    upload_id = await kit.uploads.begin(ALICE)
    last = await kit.send(upload_id, 10_000, b"last")
    first = await kit.send(upload_id, 3, LARGE)
    digest = sha256(LARGE + b"last")
    await kit.uploads.complete(upload_id, ALICE, digest, [last, first])
    assert await kit.read(digest) == LARGE + b"last"


async def test_a_part_replaces_an_earlier_one_of_its_number(kit: Kit) -> None:
    upload_id = await kit.uploads.begin(ALICE)
    await kit.send(upload_id, 1, b"old")
    part = await kit.send(upload_id, 1, b"new")
    await kit.uploads.complete(upload_id, ALICE, sha256(b"new"), [part])
    assert await kit.read(sha256(b"new")) == b"new"


@pytest.mark.parametrize("quote", ["", '"'])
async def test_etags_count_with_and_without_quotes(kit: Kit, quote: str) -> None:
    upload_id, [part] = await kit.upload([b"bytes"])
    named = Part(1, quote + part.etag.strip('"') + quote)
    await kit.uploads.complete(upload_id, ALICE, sha256(b"bytes"), [named])
    assert await kit.read(sha256(b"bytes")) == b"bytes"


@pytest.mark.parametrize("pieces", [[], [b""]])
async def test_a_blob_may_have_no_bytes(kit: Kit, pieces: list[bytes]) -> None:
    digest = await kit.push(*pieces)
    assert await kit.read(digest) == b""
    assert await kit.leftovers() == 0


async def test_a_wrong_digest_ends_the_upload_and_shows_nothing(kit: Kit) -> None:
    upload_id, parts = await kit.upload([b"bytes"])
    wrong = sha256(b"other bytes")
    for _ in range(2):
        with pytest.raises(DigestMismatch):
            await kit.uploads.complete(upload_id, ALICE, wrong, parts)
    with pytest.raises(UploadNotFound):
        await kit.uploads.complete(upload_id, ALICE, sha256(b"bytes"), parts)
    assert await kit.stored() == []
    assert await kit.leftovers() == 0
    assert await kit.blobs.find(wrong) is None


async def test_missing_parts_change_nothing(kit: Kit) -> None:
    upload_id, parts = await kit.upload([LARGE])
    digest = sha256(LARGE + b"more")
    missing = Part(2, parts[0].etag)
    for named in ([], [*parts, missing], [Part(1, "0" * 32)], [Part(1, "../../x"), missing]):
        with pytest.raises(MissingParts):
            await kit.uploads.complete(upload_id, ALICE, digest, named)
    parts.append(await kit.send(upload_id, 2, b"more"))
    await kit.uploads.complete(upload_id, ALICE, digest, parts)
    assert await kit.stored() == [digest]


async def test_missing_parts_are_named(kit: Kit) -> None:
    upload_id, [part] = await kit.upload([LARGE])
    named = [part, *(Part(number, part.etag) for number in (7, 9))]
    with pytest.raises(MissingParts, match=r"7, 9$"):
        await kit.uploads.complete(upload_id, ALICE, sha256(b""), named)


async def test_a_part_that_is_named_twice_is_refused(kit: Kit) -> None:
    upload_id, parts = await kit.upload([LARGE])
    with pytest.raises(PartsRefused, match="named twice"):
        await kit.uploads.complete(upload_id, ALICE, sha256(LARGE * 2), parts * 2)
    await kit.uploads.complete(upload_id, ALICE, sha256(LARGE), parts)
    assert await kit.stored() == [sha256(LARGE)]


@pytest.mark.parametrize("number", [0, -1, 10_001])
async def test_part_numbers_have_bounds(kit: Kit, number: int) -> None:
    upload_id = await kit.uploads.begin(ALICE)
    with pytest.raises(InvalidPartNumber):
        await kit.uploads.part_url(upload_id, ALICE, number)
    with pytest.raises(InvalidPartNumber):
        await kit.uploads.complete(upload_id, ALICE, sha256(b"x"), [Part(number, "x")])


async def test_only_who_began_an_upload_goes_on_with_it(kit: Kit) -> None:
    upload_id, parts = await kit.upload([b"bytes"])
    with pytest.raises(UploadNotFound):
        await kit.uploads.part_url(upload_id, BOB, 2)
    with pytest.raises(UploadNotFound):
        await kit.uploads.complete(upload_id, BOB, sha256(b"bytes"), parts)
    with pytest.raises(UploadNotFound):
        await kit.uploads.abort(upload_id, BOB)
    await kit.uploads.complete(upload_id, ALICE, sha256(b"bytes"), parts)
    assert await kit.stored() == [sha256(b"bytes")]


async def test_an_aborted_upload_leaves_nothing(kit: Kit) -> None:
    upload_id, parts = await kit.upload([LARGE])
    await kit.uploads.abort(upload_id, ALICE)
    assert await kit.leftovers() == 0
    for ended in (
        kit.uploads.abort(upload_id, ALICE),
        kit.uploads.part_url(upload_id, ALICE, 2),
        kit.uploads.complete(upload_id, ALICE, sha256(LARGE), parts),
    ):
        with pytest.raises(UploadNotFound):
            await ended


async def test_a_completion_may_be_repeated(kit: Kit) -> None:
    upload_id, parts = await kit.upload([b"bytes"])
    for _ in range(2):
        await kit.uploads.complete(upload_id, ALICE, sha256(b"bytes"), parts)
    with pytest.raises(UploadNotFound):
        await kit.uploads.complete(upload_id, ALICE, sha256(b"other"), parts)
    await kit.restart()
    await kit.uploads.complete(upload_id, ALICE, sha256(b"bytes"), parts)
    assert await kit.stored() == [sha256(b"bytes")]


async def test_a_blob_that_is_stored_already_needs_no_second_copy(kit: Kit) -> None:
    digest = await kit.push(b"bytes")
    before = await kit.storage.find(digest)
    assert await kit.push(b"bytes", did=BOB) == digest
    assert await kit.storage.find(digest) == before
    assert await kit.leftovers() == 0


async def test_two_may_upload_one_digest_at_once(kit: Kit) -> None:
    uploads = [await kit.upload([LARGE, b"end"], did=did) for did in (ALICE, BOB)]
    digest = sha256(LARGE + b"end")
    await asyncio.gather(
        *(
            kit.uploads.complete(upload_id, did, digest, parts)
            for did, (upload_id, parts) in zip((ALICE, BOB), uploads, strict=True)
        )
    )
    assert await kit.stored() == [digest]
    assert await kit.read(digest) == LARGE + b"end"
    assert await kit.leftovers() == 0


async def test_a_wrong_upload_does_not_keep_a_right_one_from_its_digest(kit: Kit) -> None:
    wrong_id, wrong = await kit.upload([b"wrong"], did=BOB)
    right_id, right = await kit.upload([b"right"])
    digest = sha256(b"right")
    results = await asyncio.gather(
        kit.uploads.complete(wrong_id, BOB, digest, wrong),
        kit.uploads.complete(right_id, ALICE, digest, right),
        return_exceptions=True,
    )
    assert results[1] is None
    assert await kit.read(digest) == b"right"


async def test_an_upload_outlives_a_restart(kit: Kit) -> None:
    upload_id, parts = await kit.upload([LARGE])
    await kit.restart()
    parts.append(await kit.send(upload_id, 2, b"end"))
    await kit.restart()
    digest = sha256(LARGE + b"end")
    await kit.uploads.complete(upload_id, ALICE, digest, parts)
    assert await kit.read(digest) == LARGE + b"end"


async def test_ids_of_uploads_differ_and_tell_nothing(kit: Kit) -> None:
    ids = [await kit.uploads.begin(ALICE) for _ in range(3)]
    assert all(len(one) == 32 and one != other for one, other in pairwise(ids))
