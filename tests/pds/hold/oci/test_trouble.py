"""Stores that are down, silent, busy, full or started anew while uploads are under way."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from actor_store.blob_store.base import BlobStoreFull, BlobStoreUnavailable
from actor_store.blob_store.s3_location import S3Location
from pds.hold.oci.digest import Digest
from pds.hold.oci.errors import UploadNotFound
from pds.hold.oci.storage import Part
from pds.hold.oci.sweep import KEPT_S
from tests.pds.hold.oci.conftest import opened_kit
from tests.pds.hold.oci.kit import ALICE, MIB, Kit, sha256
from tests.seaweedfs import SeaweedFs
from tests.small_disk import fill, small_disk
from tests.tcp_proxy import Mode, TcpProxy

LARGE = os.urandom(5 * MIB)


@pytest.fixture(params=["s3", "buffered"])
async def kit(
    request: pytest.FixtureRequest, tmp_path: Path, shared_location: S3Location, proxy: TcpProxy
) -> AsyncIterator[Kit]:
    """The parts of a hold that reaches S3 through the proxy, and is impatient."""
    url = f"http://127.0.0.1:{proxy.port}"
    location = replace(shared_location, endpoint=url, request_timeout_ms=300)
    async with opened_kit(tmp_path, request.param, location) as kit:
        yield kit


@pytest.mark.parametrize("mode", ["refuse", "stall"])
async def test_a_completion_that_s3_keeps_from_its_end_may_be_repeated(
    kit: Kit, proxy: TcpProxy, mode: Mode
) -> None:
    upload_id, parts = await kit.upload([LARGE, b"end"])
    digest = sha256(LARGE + b"end")
    proxy.mode = mode
    with pytest.raises(BlobStoreUnavailable):
        await kit.uploads.complete(upload_id, ALICE, digest, parts)
    proxy.mode = "pass"
    assert await kit.stored() == []
    await kit.uploads.complete(upload_id, ALICE, digest, parts)
    assert await kit.read(digest) == LARGE + b"end"


async def test_a_full_bucket_loses_no_upload(kit: Kit, proxy: TcpProxy) -> None:
    upload_id, parts = await kit.upload([b"bytes"])
    keep = kit.storage.keep

    async def keep_with_no_space(*args: object) -> None:
        # Reading goes on while a bucket is full.
        proxy.mode, proxy.refusal = "refuse", (507, "InsufficientStorage")
        try:
            await keep(*args)  # type: ignore[arg-type]
        finally:
            proxy.mode = "pass"

    kit.storage.keep = keep_with_no_space  # type: ignore[method-assign,assignment]
    with pytest.raises(BlobStoreFull):
        await kit.uploads.complete(upload_id, ALICE, sha256(b"bytes"), parts)
    kit.storage.keep = keep  # type: ignore[method-assign]
    await kit.uploads.complete(upload_id, ALICE, sha256(b"bytes"), parts)
    assert await kit.stored() == [sha256(b"bytes")]


async def test_a_sweep_waits_until_s3_is_back(kit: Kit, proxy: TcpProxy) -> None:
    upload_id, _parts = await kit.upload([LARGE])
    kit.clock.now_s += KEPT_S + 1
    proxy.mode = "refuse"
    with pytest.raises(BlobStoreUnavailable):
        await kit.sweep.sweep()
    # Only what lies in the bucket has to wait.
    assert kit.rows.exists(upload_id) == (kit.kind == "s3")
    proxy.mode = "pass"
    await kit.sweep.sweep()
    assert not kit.rows.exists(upload_id)
    assert await kit.leftovers() == 0


async def test_a_check_that_s3_interrupts_goes_on_later(kit: Kit, proxy: TcpProxy) -> None:
    upload_id, parts = await kit.upload([LARGE])
    digest = sha256(LARGE)
    join = kit.storage.join

    async def join_and_fail(*args: object) -> object:
        joined = await join(*args)  # type: ignore[arg-type]
        proxy.mode = "refuse"
        return joined

    kit.storage.join = join_and_fail  # type: ignore[method-assign,assignment]
    with pytest.raises(BlobStoreUnavailable):
        await kit.uploads.complete(upload_id, ALICE, digest, parts)
    proxy.mode = "pass"
    kit.finisher.resume()
    await kit.finisher.wait(digest, seconds=30)
    assert await kit.stored() == [digest]


async def test_an_answer_of_s3_that_is_lost_does_no_harm(s3_kit: Kit) -> None:
    upload_id, parts = await s3_kit.upload([LARGE, b"end"])
    uploads = s3_kit.bucket().uploads
    complete = uploads.complete

    async def complete_and_fail(*args: object) -> None:
        await complete(*args)  # type: ignore[arg-type]
        raise BlobStoreUnavailable("the answer is lost")

    uploads.complete = complete_and_fail  # type: ignore[method-assign,assignment]
    digest = sha256(LARGE + b"end")
    with pytest.raises(BlobStoreUnavailable):
        await s3_kit.uploads.complete(upload_id, ALICE, digest, parts)
    uploads.complete = complete  # type: ignore[method-assign]
    await s3_kit.uploads.complete(upload_id, ALICE, digest, parts)
    assert await s3_kit.read(digest) == LARGE + b"end"
    assert await s3_kit.leftovers() == 0


async def test_an_upload_that_cannot_begin_is_forgotten(
    tmp_path: Path, shared_location: S3Location
) -> None:
    dead = replace(shared_location, endpoint="http://127.0.0.1:9")
    async with opened_kit(tmp_path, "s3", dead) as kit:
        with pytest.raises(BlobStoreUnavailable):
            await kit.uploads.begin(ALICE)
        assert kit.db.value("SELECT count(*) FROM upload") == 0


async def complete_when_ready(kit: Kit, upload_id: str, digest: Digest, parts: list[Part]) -> None:
    """Complete as a client does that tries again: S3 answers before all of its parts are ready."""
    async with asyncio.timeout(60):
        while True:
            with suppress(BlobStoreUnavailable):
                return await kit.uploads.complete(upload_id, ALICE, digest, parts)


async def test_uploads_outlive_a_restart_of_s3_and_of_the_server(tmp_path: Path) -> None:
    server = await asyncio.to_thread(SeaweedFs.start, tmp_path)
    try:
        location = await server.create_bucket()
        async with opened_kit(tmp_path, "s3", location) as kit:
            layers = [[os.urandom(16 * MIB)] * 4, [LARGE, b"second"], [b"config"]]
            begun = [await kit.upload(layer) for layer in layers]
            await asyncio.to_thread(server.kill)
            with pytest.raises(BlobStoreUnavailable):
                await kit.uploads.begin(ALICE)
            await kit.restart()
            await asyncio.to_thread(server.start_again)
            for layer, (upload_id, parts) in zip(layers, begun, strict=True):
                digest = sha256(b"".join(layer))
                await complete_when_ready(kit, upload_id, digest, parts)
                assert sha256(await kit.read(digest)) == digest
            assert await kit.leftovers() == 0
    finally:
        await asyncio.to_thread(server.kill)


async def test_a_full_disk_loses_no_upload(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", size_mb=24) as disk:
        async with opened_kit(disk, "disk", None) as kit:
            upload_id, parts = await kit.upload([LARGE])
            ballast = fill(disk, but_bytes=MIB)
            with pytest.raises(BlobStoreFull):
                await kit.send(upload_id, 2, LARGE)
            ballast.unlink()
            parts.append(await kit.send(upload_id, 2, LARGE))
            ballast = fill(disk, but_bytes=MIB)
            digest = sha256(LARGE * 2)
            with pytest.raises(BlobStoreFull):
                await kit.uploads.complete(upload_id, ALICE, digest, parts)
            ballast.unlink()
            await kit.uploads.complete(upload_id, ALICE, digest, parts)
            assert await kit.read(digest) == LARGE * 2


async def test_bytes_that_somebody_deletes_end_their_upload(s3_kit: Kit) -> None:
    upload_id, parts = await s3_kit.upload([LARGE])
    measure = s3_kit.storage.measure

    async def delete_and_measure(upload_id: str, storage_id: str) -> object:
        await s3_kit.storage.discard(upload_id, "")
        return await measure(upload_id, storage_id)

    s3_kit.storage.measure = delete_and_measure  # type: ignore[method-assign,assignment]
    with pytest.raises(UploadNotFound):
        await s3_kit.uploads.complete(upload_id, ALICE, sha256(LARGE), parts)
    assert not s3_kit.rows.exists(upload_id)
    assert s3_kit.rows.list_checking() == []
