"""Which blobs there are, and what is remembered of that."""

from __future__ import annotations

import asyncio

import pytest

from pds.hold.oci.digest import Digest
from pds.hold.oci.storage import StoredBlob
from tests.pds.hold.oci.kit import ALICE, Kit, sha256

DIGEST = sha256(b"bytes")


def never(_digest: Digest) -> bool:
    return False


class CountedFinds:
    """How often the store is asked, and when it answers."""

    def __init__(self, kit: Kit) -> None:
        self.count = 0
        self.asked = asyncio.Event()
        self.answer = asyncio.Event()
        self.answer.set()
        self._find = kit.storage.find
        kit.storage.find = self._counted  # type: ignore[method-assign]

    async def _counted(self, digest: Digest) -> StoredBlob | None:
        self.count += 1
        found = await self._find(digest)
        self.asked.set()
        await self.answer.wait()
        return found


async def test_a_blob_is_looked_for_once_in_a_while(kit: Kit) -> None:
    await kit.push(b"bytes")
    await kit.restart()
    finds = CountedFinds(kit)
    for _ in range(3):
        assert await kit.blobs.find(DIGEST) is not None
    assert finds.count == 1
    kit.clock.now_s += 3600
    await kit.blobs.find(DIGEST)
    assert finds.count == 2


async def test_an_absent_blob_is_seen_when_it_comes(kit: Kit) -> None:
    assert await kit.blobs.find(DIGEST) is None
    await kit.push(b"bytes")
    assert await kit.blobs.find(DIGEST) is not None


async def test_a_deleted_blob_is_gone_at_once(kit: Kit) -> None:
    await kit.push(b"bytes")
    assert await kit.blobs.delete([DIGEST], unless=never) == [DIGEST]
    assert await kit.blobs.find(DIGEST) is None
    assert await kit.stored() == []


async def test_an_answer_from_before_a_deletion_is_not_believed(kit: Kit) -> None:
    await kit.push(b"bytes")
    await kit.restart()
    finds = CountedFinds(kit)
    finds.answer.clear()
    looking = asyncio.create_task(kit.blobs.find(DIGEST))
    await finds.asked.wait()
    await kit.blobs.delete([DIGEST], unless=never)
    finds.answer.set()
    assert await looking is None
    assert await kit.blobs.find(DIGEST) is None


async def test_a_question_during_a_deletion_finds_nothing(kit: Kit) -> None:
    await kit.push(b"bytes")
    delete, go_on, begun = kit.storage.delete, asyncio.Event(), asyncio.Event()

    async def slowly(digests: list[Digest]) -> None:
        begun.set()
        await go_on.wait()
        await delete(digests)

    kit.storage.delete = slowly  # type: ignore[method-assign,assignment]
    deleting = asyncio.create_task(kit.blobs.delete([DIGEST], unless=never))
    await begun.wait()
    assert await kit.blobs.find(DIGEST) is None
    go_on.set()
    await deleting
    assert await kit.blobs.find(DIGEST) is None


async def test_what_is_referred_to_stays(kit: Kit) -> None:
    await kit.push(b"bytes")
    assert await kit.blobs.delete([DIGEST], unless=lambda digest: digest == DIGEST) == []
    assert await kit.stored() == [DIGEST]


async def test_a_blob_that_is_being_completed_again_stays(kit: Kit) -> None:
    await kit.push(b"bytes")
    async with kit.blobs.wanted(DIGEST):
        assert await kit.blobs.delete([DIGEST], unless=never) == []
    assert await kit.blobs.delete([DIGEST], unless=never) == [DIGEST]


async def test_a_completion_during_a_deletion_stores_the_blob_anew(kit: Kit) -> None:
    await kit.push(b"bytes")
    upload_id, parts = await kit.upload([b"bytes"])
    delete, go_on, begun = kit.storage.delete, asyncio.Event(), asyncio.Event()

    async def slowly(digests: list[Digest]) -> None:
        begun.set()
        await go_on.wait()
        await delete(digests)

    kit.storage.delete = slowly  # type: ignore[method-assign,assignment]
    deleting = asyncio.create_task(kit.blobs.delete([DIGEST], unless=never))
    await begun.wait()
    completing = asyncio.create_task(kit.uploads.complete(upload_id, ALICE, DIGEST, parts))
    go_on.set()
    await asyncio.gather(deleting, completing)
    assert await kit.stored() == [DIGEST]


async def test_every_answer_that_a_blob_is_there_is_told(kit: Kit) -> None:
    used: list[Digest] = []
    await kit.push(b"bytes")
    kit.blobs.on_use = used.append
    await kit.blobs.find(sha256(b"absent"))
    assert used == []
    await kit.blobs.find(DIGEST)
    assert used == [DIGEST]
    kit.clock.now_s += 3600
    await kit.blobs.find(DIGEST)
    assert used == [DIGEST, DIGEST]


@pytest.mark.parametrize("start", [0, 2])
async def test_a_part_of_a_blob_is_read(kit: Kit, start: int) -> None:
    await kit.push(b"bytes")
    chunks = [chunk async for chunk in kit.storage.read(DIGEST, start, 4)]
    assert b"".join(chunks) == b"bytes"[start:4]
