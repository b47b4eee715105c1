"""Checking the digests of what clients send, before anybody sees it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from pds.hold.oci.digest import Digest
from pds.hold.oci.errors import DigestMismatch, UploadNotFound
from pds.hold.oci.upload_rows import UploadState
from tests.pds.hold.oci.kit import ALICE, BOB, MIB, Kit, sha256

LARGE = bytes(5 * MIB)
OTHER = sha256(b"other")


class Held:
    """Reading of uploads, held until the test lets it go on."""

    def __init__(self, kit: Kit) -> None:
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self._measure = kit.storage.measure
        kit.storage.measure = self._held  # type: ignore[method-assign]

    async def _held(self, upload_id: str, storage_id: str) -> Digest:
        self.begun.set()
        await self.go_on.wait()
        return await self._measure(upload_id, storage_id)


@pytest.fixture
def impatient(kit: Kit) -> Kit:
    """A hold whose clients are answered before their bytes are checked."""
    kit.wait_s = 0
    kit.uploads._wait_s = 0
    return kit


async def state_of(kit: Kit, upload_id: str) -> UploadState | None:
    upload = kit.rows.find(upload_id)
    return None if upload is None else upload.state


async def test_a_blob_appears_when_its_digest_has_been_checked(impatient: Kit) -> None:
    held = Held(impatient)
    upload_id, parts = await impatient.upload([LARGE])
    digest = sha256(LARGE)
    await impatient.uploads.complete(upload_id, ALICE, digest, parts)
    await held.begun.wait()
    assert await impatient.blobs.find(digest) is None
    assert await impatient.stored() == []
    assert impatient.finisher.is_finishing(digest)
    held.go_on.set()
    await impatient.finisher.wait(digest, seconds=30)
    assert not impatient.finisher.is_finishing(digest)
    assert await impatient.blobs.find(digest) is not None


async def test_a_wrong_digest_that_is_found_late_never_appears(impatient: Kit) -> None:
    held = Held(impatient)
    upload_id, parts = await impatient.upload([LARGE])
    await impatient.uploads.complete(upload_id, ALICE, OTHER, parts)
    held.go_on.set()
    await impatient.finisher.wait(OTHER, seconds=30)
    assert await impatient.stored() == []
    assert await impatient.leftovers() == 0
    with pytest.raises(DigestMismatch):
        await impatient.uploads.complete(upload_id, ALICE, OTHER, parts)


async def test_a_check_goes_on_after_a_restart(impatient: Kit) -> None:
    held = Held(impatient)
    upload_id, parts = await impatient.upload([LARGE])
    digest = sha256(LARGE)
    await impatient.uploads.complete(upload_id, ALICE, digest, parts)
    await held.begun.wait()
    await impatient.restart()
    assert await state_of(impatient, upload_id) is UploadState.CHECKING
    again = Held(impatient)
    impatient.sweep.start()
    await again.begun.wait()
    again.go_on.set()
    await impatient.finisher.wait(digest, seconds=30)
    await impatient.sweep.close()
    assert await state_of(impatient, upload_id) is UploadState.COMPLETED
    assert await impatient.stored() == [digest]


async def test_an_upload_that_is_being_checked_takes_nothing_more(impatient: Kit) -> None:
    held = Held(impatient)
    upload_id, parts = await impatient.upload([LARGE])
    await impatient.uploads.complete(upload_id, ALICE, sha256(LARGE), parts)
    for refused in (
        impatient.uploads.part_url(upload_id, ALICE, 2),
        impatient.uploads.abort(upload_id, ALICE),
        impatient.uploads.complete(upload_id, ALICE, OTHER, parts),
        impatient.uploads.complete(upload_id, BOB, sha256(LARGE), parts),
    ):
        with pytest.raises(UploadNotFound):
            await refused
    held.go_on.set()


async def test_many_checks_of_one_digest_read_once(impatient: Kit) -> None:
    reads: list[str] = []
    held = Held(impatient)
    measure = impatient.storage.measure

    async def counted(upload_id: str, storage_id: str) -> Digest:
        reads.append(upload_id)
        return await measure(upload_id, storage_id)

    impatient.storage.measure = counted  # type: ignore[method-assign]
    begun = [await impatient.upload([b"same"]) for _ in range(3)]
    first, *others = begun
    await impatient.uploads.complete(first[0], ALICE, sha256(b"same"), first[1])
    held.go_on.set()
    await impatient.finisher.wait(sha256(b"same"), seconds=30)
    for upload_id, parts in others:
        await impatient.uploads.complete(upload_id, ALICE, sha256(b"same"), parts)
    assert reads == [first[0]]
    assert await impatient.leftovers() == 0


async def test_an_operator_may_trust_clients(s3_kit: Kit) -> None:
    s3_kit.verify = False
    await s3_kit.restart()

    async def read(*_ids: str) -> Digest:
        raise AssertionError("the bytes were read")

    s3_kit.storage.measure = read  # type: ignore[method-assign,assignment]
    digest = await s3_kit.push(LARGE)
    assert await s3_kit.stored() == [digest]


async def test_a_part_that_arrives_after_the_completion_changes_nothing(impatient: Kit) -> None:
    if impatient.kind == "s3":
        pytest.skip("S3 refuses parts of a completed upload")
    upload_id, parts = await impatient.upload([LARGE, b"end"])
    arriving, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        arriving.set()
        await go_on.wait()
        yield b"other"

    late = asyncio.create_task(impatient.uploads.write_part(upload_id, ALICE, 2, slow()))
    await arriving.wait()
    held = Held(impatient)
    digest = sha256(LARGE + b"end")
    await impatient.uploads.complete(upload_id, ALICE, digest, parts)
    go_on.set()
    with pytest.raises(UploadNotFound):
        await late
    held.go_on.set()
    await impatient.finisher.wait(digest, seconds=30)
    assert await impatient.read(digest) == LARGE + b"end"
    assert await impatient.leftovers() == 0
