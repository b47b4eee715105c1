"""Parts that arrive when their upload has ended: refused, and nothing of them stays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actor_store.blob_store.s3_location import S3Location
from pds.hold.oci import part_files
from pds.hold.oci.errors import DigestMismatch, UploadNotFound
from tests.pds.hold.oci.conftest import opened_kit
from tests.pds.hold.oci.kit import ALICE, MIB, Kit, sha256


@pytest.fixture(params=["disk", "buffered"])
async def kit(
    request: pytest.FixtureRequest, tmp_path: Path, shared_location: S3Location
) -> AsyncIterator[Kit]:
    """The stores whose parts come through the server."""
    location = None if request.param == "disk" else shared_location
    async with opened_kit(tmp_path, request.param, location) as kit:
        yield kit


class LatePart:
    """A part that stops on its way, with some bytes on the disk or with none."""

    def __init__(self, kit: Kit, upload_id: str, first: bytes) -> None:
        self._first = first
        self._stopped, self._go_on = asyncio.Event(), asyncio.Event()
        self._task = asyncio.create_task(
            kit.uploads.write_part(upload_id, ALICE, 2, self._chunks())
        )

    async def stopped(self) -> None:
        """Wait until it has stopped."""
        await self._stopped.wait()

    async def arrive(self) -> str:
        """Let the rest come, and return the ETag."""
        self._go_on.set()
        return await self._task

    async def _chunks(self) -> AsyncIterator[bytes]:
        if self._first:
            yield self._first
        self._stopped.set()
        await self._go_on.wait()
        yield b"the rest"


@pytest.fixture(params=[b"", bytes(MIB)], ids=["no bytes yet", "bytes on disk"])
def first(request: pytest.FixtureRequest) -> bytes:
    """What comes before the part stops."""
    assert isinstance(request.param, bytes)
    return request.param


async def test_after_an_abortion(kit: Kit, first: bytes) -> None:
    upload_id, _ = await kit.upload([b"bytes"])
    part = LatePart(kit, upload_id, first)
    await part.stopped()
    await kit.uploads.abort(upload_id, ALICE)
    with pytest.raises(UploadNotFound):
        await part.arrive()
    assert await kit.leftovers() == 0


async def test_after_the_completion(kit: Kit, first: bytes) -> None:
    upload_id, parts = await kit.upload([b"bytes"])
    part = LatePart(kit, upload_id, first)
    await part.stopped()
    await kit.uploads.complete(upload_id, ALICE, sha256(b"bytes"), parts)
    with pytest.raises(UploadNotFound):
        await part.arrive()
    assert await kit.leftovers() == 0
    assert await kit.read(sha256(b"bytes")) == b"bytes"


async def test_after_a_refusal(kit: Kit, first: bytes) -> None:
    upload_id, parts = await kit.upload([b"bytes"])
    part = LatePart(kit, upload_id, first)
    await part.stopped()
    with pytest.raises(DigestMismatch):
        await kit.uploads.complete(upload_id, ALICE, sha256(b"others"), parts)
    with pytest.raises(UploadNotFound):
        await part.arrive()
    assert await kit.leftovers() == 0


async def test_while_the_upload_is_being_discarded(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id, _ = await kit.upload([b"bytes"])
    discard = kit.storage.discard
    etags: list[str] = []

    async def discard_and_receive(discarded: str, storage_id: str) -> None:
        await discard(discarded, storage_id)
        if not etags:
            # The row is still there, so that this part finds its upload open.
            etags.append((await kit.send(upload_id, 2, b"late")).etag)

    monkeypatch.setattr(kit.storage, "discard", discard_and_receive)
    await kit.uploads.abort(upload_id, ALICE)
    assert len(etags) == 1
    assert await kit.leftovers() == 0


def test_a_directory_in_which_a_part_begins_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = tmp_path / "upload"
    upload.mkdir()
    (upload / "part-1-x").write_bytes(b"part")
    unlink, incoming = Path.unlink, upload / "incoming-1"

    def unlink_and_begin(path: Path, missing_ok: bool = False) -> None:
        unlink(path, missing_ok)
        incoming.write_bytes(b"another")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", unlink_and_begin)
        part_files.remove_upload(upload)
    assert [path.name for path in upload.iterdir()] == ["incoming-1"]
    part_files.remove_upload(upload)
    assert not upload.exists()
