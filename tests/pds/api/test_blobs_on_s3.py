"""Blobs in a bucket, over HTTP: from the upload to the deletion of the account."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from actor_store.blob_store.s3_bucket import S3Bucket
from actor_store.blob_store.s3_location import S3Location
from tests.actor_store.stored_blobs import keys_of
from tests.pds.api.blobs import GET_BLOB, PNG, fetch, uploaded
from tests.pds.api.records import create, deactivate, delete, moderate, repo_subject
from tests.pds.conftest import Account, Pds, start_pds
from tests.seaweedfs import SeaweedFs
from tests.tcp_proxy import TcpProxy

LARGE = os.urandom(12_000_000)


@pytest.fixture
def redirect() -> dict[str, str]:
    """Settings of redirects, for a test to change."""
    return {}


@pytest.fixture
def pds_environ(
    seaweedfs: SeaweedFs, bucket_location: S3Location, proxy: TcpProxy, redirect: dict[str, str]
) -> dict[str, str]:
    return {
        **seaweedfs.environ(bucket_location.bucket),
        "PDS_BLOBSTORE_S3_ENDPOINT": f"http://127.0.0.1:{proxy.port}",
        "PDS_BLOBSTORE_DISK_LOCATION": "",
        "PDS_BLOB_UPLOAD_LIMIT": "20000000",
        **redirect,
    }


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 (of another task)
            await asyncio.sleep(0.01)


async def places(bucket: S3Bucket) -> list[str]:
    """Where objects and unfinished uploads are, as the first part of their keys."""
    return [key.partition("/")[0] for key in await keys_of(bucket)]


async def note_with(pds: Pds, account: Account, blob: Any) -> str:
    """Create a record with a blob, and return its rkey."""
    reply = await create(pds, account, {"blob": blob})
    assert reply.status == 200, reply.body
    return str(reply.json["uri"].rpartition("/")[2])


def blob_subject(account: Account, blob: Any) -> dict[str, str]:
    return {
        "$type": "com.atproto.admin.defs#repoBlobRef",
        "did": account.did,
        "cid": blob["ref"]["$link"],
    }


@pytest.mark.parametrize("data", [PNG, LARGE, b""], ids=["small", "by parts", "empty"])
async def test_a_blob_lives_in_the_bucket_until_its_record_goes(
    pds: Pds, alice: Account, bucket: S3Bucket, data: bytes
) -> None:
    blob = await uploaded(pds, alice, data)
    assert await places(bucket) == ["tmp"]
    rkey = await note_with(pds, alice, blob)
    assert await places(bucket) == ["blocks"]
    reply = await fetch(pds, alice, blob)
    assert (reply.status, reply.body) == (200, data)
    assert reply.headers["Content-Length"] == str(len(data))
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    await delete(pds, alice, rkey)
    await pds.ctx.actor_store.blob_files.settle()
    assert await places(bucket) == []
    assert (await fetch(pds, alice, blob)).json["message"] == "Blob not found"


async def test_a_blob_that_is_taken_down_is_hidden_until_it_is_restored(
    pds: Pds, alice: Account, bucket: S3Bucket
) -> None:
    blob = await uploaded(pds, alice)
    await note_with(pds, alice, blob)
    await moderate(pds, blob_subject(alice, blob), takedown=True)
    assert await places(bucket) == ["quarantine"]
    assert (await fetch(pds, alice, blob)).status == 400
    await moderate(pds, blob_subject(alice, blob), takedown=False)
    assert await places(bucket) == ["blocks"]
    assert (await fetch(pds, alice, blob)).body == PNG


async def test_a_deleted_account_leaves_no_object(
    pds: Pds, alice: Account, bob: Account, bucket: S3Bucket
) -> None:
    await note_with(pds, alice, await uploaded(pds, alice))
    await uploaded(pds, alice, b"unused")
    await note_with(pds, bob, kept := await uploaded(pds, bob))
    reply = await pds.post("com.atproto.admin.deleteAccount", {"did": alice.did}, pds.admin)
    assert reply.status == 200
    assert await places(bucket) == ["blocks"]
    assert (await fetch(pds, bob, kept)).body == PNG


async def test_a_deletion_while_s3_is_down_is_finished_once_it_is_back(
    pds: Pds, alice: Account, bucket: S3Bucket, proxy: TcpProxy
) -> None:
    await note_with(pds, alice, await uploaded(pds, alice))
    proxy.mode = "refuse"
    reply = await pds.post("com.atproto.admin.deleteAccount", {"did": alice.did}, pds.admin)
    assert reply.error == (503, "NotEnoughResources")
    proxy.mode = "pass"
    await until(lambda: not pds.ctx.unfinished.retrier.waiting)
    assert await places(bucket) == []


async def test_a_download_that_s3_cuts_off_is_cut_off_and_told_in_one_line(
    pds: Pds, alice: Account, proxy: TcpProxy
) -> None:
    blob = await uploaded(pds, alice, LARGE)
    await note_with(pds, alice, blob)
    params = {"did": alice.did, "cid": blob["ref"]["$link"]}
    with capture_logs() as logs:
        async with pds.http.get(f"{pds.url}/xrpc/{GET_BLOB}", params=params) as answer:
            assert answer.status == 200
            await answer.content.read(1)
            proxy.cut()
            with pytest.raises(aiohttp.ClientPayloadError):
                await answer.content.read()
    (told,) = [log for log in logs if log["event"] == "stream broken off"]
    assert (told["log_level"], "exc_info" in told) == ("warning", False)


async def test_what_s3_refuses_can_be_repeated_later(
    pds: Pds, alice: Account, proxy: TcpProxy
) -> None:
    posted, blob = await uploaded(pds, alice, b"posted"), await uploaded(pds, alice)
    await note_with(pds, alice, posted)
    # HEAD has no body: what is left of a bucket that is gone is the status.
    for code, status in (("NoSuchBucket", 404), ("SignatureDoesNotMatch", 403)):
        proxy.refusal, proxy.mode = (status, code), "refuse"
        for reply in (
            await create(pds, alice, {"blob": blob}),
            await pds.upload(alice, PNG),
            await fetch(pds, alice, posted),
        ):
            assert (reply.status, reply.headers.get("Retry-After")) == (503, "60")
        proxy.mode = "pass"
    await note_with(pds, alice, blob)
    assert (await fetch(pds, alice, blob)).body == PNG


async def test_a_record_of_bytes_that_are_gone_is_refused(
    pds: Pds, alice: Account, bucket: S3Bucket
) -> None:
    blob = await uploaded(pds, alice)
    await bucket.delete([info.key async for info in bucket.list("")])
    reply = await create(pds, alice, {"blob": blob})
    assert reply.error == (400, "BlobNotFound")
    await note_with(pds, alice, await uploaded(pds, alice))
    assert (await fetch(pds, alice, blob)).body == PNG


async def test_an_upload_that_is_too_large_or_cut_off_leaves_nothing(
    pds: Pds, alice: Account, bucket: S3Bucket
) -> None:
    sent = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(1_000_000)

    async def stalled() -> AsyncIterator[bytes]:
        yield bytes(12_000_000)
        sent.set()
        await asyncio.Event().wait()

    assert (await pds.upload(alice, endless())).status == 413  # type: ignore[arg-type]
    assert await places(bucket) == []
    cut_off = asyncio.create_task(pds.upload(alice, stalled()))  # type: ignore[arg-type]
    await sent.wait()
    cut_off.cancel()
    await asyncio.wait((cut_off,))
    await until(lambda: pds.ctx.large_work.bodies.running == 0)
    assert await places(bucket) == []


async def test_a_client_that_leaves_ends_its_download_from_the_bucket(
    pds: Pds, alice: Account, proxy: TcpProxy
) -> None:
    blob = await uploaded(pds, alice, LARGE)
    await note_with(pds, alice, blob)
    bucket = pds.ctx.bucket
    assert bucket is not None
    bucket._streams = asyncio.Semaphore(1)
    params = {"did": alice.did, "cid": blob["ref"]["$link"]}
    async with pds.http.get(f"{pds.url}/xrpc/{GET_BLOB}", params=params) as reply:
        assert await reply.content.readany()
        assert bucket._streams.locked()
        reply.close()
    await until(lambda: pds.ctx.streams.blobs.running == 0)
    # The next client finds the place free.
    assert (await fetch(pds, alice, blob)).body == LARGE


async def test_while_s3_is_down_blobs_are_refused_and_all_else_goes_on(
    pds: Pds, alice: Account, proxy: TcpProxy
) -> None:
    blob = await uploaded(pds, alice)
    fresh = await uploaded(pds, alice, b"not yet in a record")
    await note_with(pds, alice, blob)
    head = await pds.get("com.atproto.sync.getLatestCommit", did=alice.did)
    proxy.mode = "refuse"
    refused = await asyncio.gather(
        pds.upload(alice, PNG), fetch(pds, alice, blob), create(pds, alice, {"blob": fresh})
    )
    for reply in refused:
        assert reply.error == (503, "NotEnoughResources")
        assert int(reply.headers["Retry-After"]) > 0
        assert "127.0.0.1" not in reply.json["message"]
    assert (await pds.get("com.atproto.sync.getLatestCommit", did=alice.did)).json == head.json
    await pds.post_text(alice, "no blob")
    proxy.mode = "pass"
    assert (await fetch(pds, alice, blob)).body == PNG
    await note_with(pds, alice, fresh)


async def test_health_tells_of_the_bucket(pds: Pds, proxy: TcpProxy) -> None:
    proxy.mode, proxy.refusal = "refuse", (403, "AccessDenied")
    reply = await pds.request("GET", "/xrpc/_health")
    assert reply.status == 503
    (check,) = reply.json["checks"]
    assert check["check"] == "blob bucket"
    assert "AccessDenied" in check["reason"]
    assert "docs/s3.md" in check["remedy"]


async def test_a_server_starts_although_s3_is_down(
    tmp_path: Path, pds_environ: dict[str, str], proxy: TcpProxy
) -> None:
    proxy.mode = "refuse"
    async with AsyncExitStack() as stack:
        pds = await start_pds(stack, tmp_path, pds_environ)
        alice = await pds.create_account()
        assert (await pds.upload(alice, PNG)).status == 503
        proxy.mode = "pass"
        await note_with(pds, alice, blob := await uploaded(pds, alice))
        assert (await fetch(pds, alice, blob)).body == PNG


class TestRedirects:
    """With `PDS_BLOBSTORE_S3_REDIRECT=presigned`."""

    @pytest.fixture
    def redirect(self) -> dict[str, str]:
        return {"PDS_BLOBSTORE_S3_REDIRECT": "presigned"}

    @staticmethod
    async def ask(pds: Pds, account: Account, blob: Any, method: str = "GET", **more: Any) -> Any:
        params = {"did": account.did, "cid": blob["ref"]["$link"]}
        url = f"{pds.url}/xrpc/{GET_BLOB}"
        async with pds.http.request(method, url, params=params, **more) as reply:
            await reply.read()
            return reply

    async def test_a_client_is_sent_to_the_bucket_and_finds_harmless_bytes(
        self, pds: Pds, alice: Account
    ) -> None:
        script = b"<script>alert(1)</script>"
        blob = await uploaded(pds, alice, script, "text/html")
        await note_with(pds, alice, blob)
        for method in ("GET", "HEAD"):
            told = await self.ask(pds, alice, blob, method, allow_redirects=False)
            assert told.status == 302
            assert told.headers["Access-Control-Allow-Origin"] == "*"
            async with pds.http.request(method, told.headers["Location"]) as reply:
                assert reply.status == 200
                assert await reply.read() == (script if method == "GET" else b"")
                cid = blob["ref"]["$link"]
                assert reply.headers["Content-Type"] == "text/html; charset=utf-8"
                assert reply.headers["Content-Disposition"] == f'attachment; filename="{cid}"'

    async def test_what_not_everybody_may_read_is_never_linked(
        self, pds: Pds, alice: Account
    ) -> None:
        blob = await uploaded(pds, alice)
        await note_with(pds, alice, blob)
        await moderate(pds, blob_subject(alice, blob), takedown=True)
        assert (await self.ask(pds, alice, blob)).status == 400
        await moderate(pds, blob_subject(alice, blob), takedown=False)
        await deactivate(pds, alice)
        assert (await self.ask(pds, alice, blob)).status == 400
        own = await self.ask(pds, alice, blob, headers=alice.auth, allow_redirects=False)
        assert own.status == 200
        await moderate(pds, repo_subject(alice), takedown=True)
        operators = await self.ask(pds, alice, blob, headers=pds.admin, allow_redirects=False)
        assert operators.status == 200

    async def test_a_blob_that_the_bucket_has_lost_is_not_found(
        self, pds: Pds, alice: Account, bucket: S3Bucket
    ) -> None:
        blob = await uploaded(pds, alice)
        await note_with(pds, alice, blob)
        await bucket.delete([info.key async for info in bucket.list("blocks/")])
        assert (await self.ask(pds, alice, blob)).status == 400


class TestCdn:
    """With `PDS_BLOBSTORE_CDN_URL` as well."""

    @pytest.fixture
    def redirect(self) -> dict[str, str]:
        return {
            "PDS_BLOBSTORE_S3_REDIRECT": "presigned",
            "PDS_BLOBSTORE_CDN_URL": "https://cdn.example.com/blobs/",
        }

    async def test_a_client_is_sent_to_the_cdn(
        self, pds: Pds, alice: Account, bucket_location: S3Location
    ) -> None:
        blob = await uploaded(pds, alice)
        await note_with(pds, alice, blob)
        told = await TestRedirects.ask(pds, alice, blob, allow_redirects=False)
        assert told.status == 302
        start = f"https://cdn.example.com/blobs/{bucket_location.bucket}/blocks/"
        assert told.headers["Location"].startswith(start)
        assert "X-Amz-Signature=" in told.headers["Location"]

    async def test_a_question_without_a_body_goes_to_the_bucket(
        self, pds: Pds, alice: Account
    ) -> None:
        """A CDN would ask the bucket with GET, for which the link is not signed."""
        blob = await uploaded(pds, alice)
        await note_with(pds, alice, blob)
        told = await TestRedirects.ask(pds, alice, blob, "HEAD", allow_redirects=False)
        assert told.status == 302
        async with pds.http.head(told.headers["Location"]) as reply:
            assert (reply.status, reply.content_length) == (200, len(PNG))
