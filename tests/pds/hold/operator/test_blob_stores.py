"""The operator's routes about stores of blobs, which count and move the layers of a hold, too."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pds.hold.hold import Hold
from pds.hold.oci.digest import digest_of
from pds.hold.oci.moving import MovingOciStorage
from pds.hold.oci.storage import OciStorage
from tests.pds.conftest import Pds
from tests.pds.hold.conftest import HOLD_ENVIRON
from tests.seaweedfs import SeaweedFs

S3 = "/_holdfast/blob-stores/s3"
DISK = "/_holdfast/blob-stores/disk"


@pytest.fixture
async def pds_environ(seaweedfs: SeaweedFs) -> dict[str, str]:
    location = await seaweedfs.create_bucket()
    move = {**seaweedfs.environ(location.bucket), "PDS_BLOBSTORE_MOVE_TO": "s3"}
    return {**HOLD_ENVIRON, **move}


@pytest.fixture
def both(hold: Hold) -> MovingOciStorage:
    assert isinstance(hold.oci.storage, MovingOciStorage)
    return hold.oci.storage


async def put(storage: OciStorage, data: bytes) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield data

    digest = digest_of(hashlib.sha256(data).digest())
    await (await storage.receive(digest, len(data), chunks())).keep()


async def ask(pds: Pds, verb: str, path: str, **more: Any) -> Any:
    reply = await pds.request(verb, path, headers=pds.admin, **more)
    assert reply.status == 200, reply.json
    return reply.json


async def test_layers_are_counted_where_they_lie(pds: Pds, both: MovingOciStorage) -> None:
    for data in (b"one", b"three"):
        await put(both.old, data)
    await put(both.new, b"four")
    assert (await ask(pds, "GET", DISK))["blobs"]["layers"] == {"count": 2, "bytes": 8}
    assert (await ask(pds, "GET", S3))["blobs"]["layers"] == {"count": 1, "bytes": 4}


@pytest.mark.parametrize("path", [DISK, S3])
async def test_counting_layers_goes_on_at_a_cursor(
    pds: Pds, both: MovingOciStorage, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pds.web.operator.blob_stores._PAGE", 1)
    monkeypatch.setattr("pds.web.operator.blob_stores._COUNTING_S", -1.0)
    for number in range(3):
        await put(both.old if path == DISK else both.new, bytes([number]))
    counts: list[int] = []
    params: dict[str, str] = {}
    while True:
        page = await ask(pds, "GET", path, params=params)
        counts.append(page["blobs"]["layers"]["count"])
        if "cursor" not in page:
            break
        params = {"cursor": page["cursor"]}
    assert counts == [1, 1, 1, 0]


@pytest.mark.parametrize("path", [DISK, S3])
async def test_a_cursor_that_is_no_digest_counts_from_there(
    pds: Pds, both: MovingOciStorage, path: str
) -> None:
    await put(both.old, b"layer")
    page = await ask(pds, "GET", path, params={"cursor": "layers/zzz"})
    assert page["blobs"]["layers"] == {"count": 0, "bytes": 0}


async def test_a_run_moves_layers_after_all_other_blobs(pds: Pds, both: MovingOciStorage) -> None:
    await put(both.old, b"layer")
    told = await ask(pds, "POST", S3, json={})
    while told["state"] == "moving":
        told = await ask(pds, "POST", S3, json={"run": told["run"]})
    assert (told["state"], told["movedBlobs"], told["movedBytes"]) == ("done", 1, 5)
    assert [blob async for blob in both.old.list()] == []
    assert [blob.size_bytes async for blob in both.new.list()] == [5]
