"""getBlob of a hold: digests and CIDs, presigned URLs and bytes."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from pds.hold.hold import Hold
from pds.hold.methods import blobs
from pds.hold.oci.digest import Digest, parse_digest
from pds.hold.permissions import Permission
from pds.monitoring.logs import configure_logs
from tests.pds.conftest import Account, Pds
from tests.pds.hold.registry import GET_BLOB, IMAGE_OWNER, Registry, digest_of, member

DATA = os.urandom(1000)
ABSENT = digest_of(b"absent")
BYTES = pytest.mark.parametrize("store", ["disk", "buffered"])
PRESIGNED = pytest.mark.parametrize("store", ["s3"])
PUBLIC = pytest.mark.parametrize("hold_environ", [{"PDS_HOLD_PUBLIC": "true"}])


async def test_a_private_hold_never_says_whether_a_blob_exists(
    writer: Registry, outsider: Registry, nobody: Registry
) -> None:
    digest = await writer.push(DATA)
    for caller, refusal in ((outsider, (403, "Forbidden")), (nobody, (401, "AuthMissing"))):
        there, absent = await caller.ask(digest), await caller.ask(ABSENT)
        assert there.error == absent.error == refusal
        assert there.json == absent.json
        heads = [await caller.ask(each, "HEAD") for each in (digest, ABSENT)]
        assert [reply.status for reply in heads] == [refusal[0]] * 2


@PUBLIC
async def test_a_public_hold_serves_everybody(writer: Registry, nobody: Registry) -> None:
    digest = await writer.push(DATA)
    assert await nobody.fetch(digest) == DATA
    wrong = Registry(nobody.pds, nobody.hold, {"Authorization": "Bearer nonsense"})
    assert await wrong.fetch(digest) == DATA


async def test_who_may_read_or_write_reads(
    writer: Registry, pds: Pds, hold: Hold, bob: Account
) -> None:
    digest = await writer.push(DATA)
    reader = await member(pds, hold, bob, [Permission.READ])
    assert await reader.fetch(digest) == await writer.fetch(digest) == DATA


async def test_head_tells_the_size(writer: Registry) -> None:
    digest = await writer.push(DATA)
    reply = await writer.ask(digest, "HEAD")
    assert (reply.status, reply.body) == (200, b"")
    assert reply.headers["Content-Length"] == str(len(DATA))
    assert reply.headers["Docker-Content-Digest"] == digest
    assert (await writer.ask(ABSENT, "HEAD")).status == 404


async def test_an_absent_blob_is_not_found(writer: Registry) -> None:
    assert (await writer.ask(ABSENT)).error == (404, "BlobNotFound")
    assert (await writer.ask(ABSENT, method="HEAD")).error == (404, "BlobNotFound")


@pytest.mark.parametrize("store", ["disk"])
async def test_bad_parameters_are_refused(writer: Registry, pds: Pds) -> None:
    bad: list[dict[str, str]] = [
        {"cid": "sha256:abc", "did": IMAGE_OWNER},
        {"cid": "sha512:" + "a" * 64, "did": IMAGE_OWNER},
        {"cid": ABSENT.upper(), "did": IMAGE_OWNER},
        {"cid": ABSENT},
        {"cid": ABSENT, "did": "nobody"},
        {"cid": ABSENT, "did": IMAGE_OWNER, "method": "PUT"},
        {"cid": ABSENT, "did": IMAGE_OWNER, "method": "DELETE"},
        {"cid": ABSENT, "did": IMAGE_OWNER, "repo": "r" * 257},
    ]
    for params in bad:
        reply = await pds.get(GET_BLOB, writer.auth, **params)
        assert reply.error == (400, "InvalidRequest"), params


@PRESIGNED
async def test_a_url_works_for_its_verb_alone(writer: Registry) -> None:
    digest = await writer.push(DATA)
    urls = {verb: (await writer.ask(digest, method=verb)).json["url"] for verb in ("GET", "HEAD")}
    for signed, url in urls.items():
        for verb in urls:
            status, headers, body = await writer.follow(url, verb)
            assert status == (200 if verb == signed else 403)
            if verb == signed:
                assert headers["Content-Length"] == str(len(DATA))
                assert body == (DATA if verb == "GET" else b"")


@PRESIGNED
async def test_a_url_lives_for_fifteen_minutes(writer: Registry) -> None:
    digest = await writer.push(DATA)
    url = (await writer.ask(digest)).json["url"]
    assert parse_qs(urlsplit(url).query)["X-Amz-Expires"] == ["900"]
    assert urlsplit(url).path.endswith(
        f"/docker/registry/v2/blobs/sha256/{digest[7:9]}/{digest[7:]}/data"
    )


@PRESIGNED
@pytest.mark.parametrize("hold_environ", [{"PDS_HOLD_CDN_URL": "https://cdn.example.com"}])
async def test_downloads_alone_go_to_the_cdn(writer: Registry) -> None:
    digest = await writer.push(DATA)
    urls = [(await writer.ask(digest, method=verb)).json["url"] for verb in ("GET", "HEAD")]
    part = await writer.call("getPartUploadUrl", uploadId=await writer.begin(), partNumber=1)
    hosts = [urlsplit(url).hostname for url in (*urls, part.json["url"])]
    assert hosts == ["cdn.example.com", "127.0.0.1", "127.0.0.1"]


@PRESIGNED
async def test_no_presigned_url_is_logged(writer: Registry, tmp_path: Path) -> None:
    log = tmp_path / "log"
    logs = configure_logs(level="debug", destination=str(log))
    upload_id = await writer.begin()
    part = await writer.call("getPartUploadUrl", uploadId=upload_id, partNumber=1)
    blob = await writer.ask(await writer.push(DATA))
    logs.flush()
    logged = log.read_text()
    assert "getBlob" in logged
    for reply in (part, blob):
        (signature,) = parse_qs(urlsplit(reply.json["url"]).query)["X-Amz-Signature"]
        assert signature not in logged


@BYTES
async def test_a_range_is_sent(writer: Registry) -> None:
    digest = await writer.push(DATA)
    for asked, start, end in (
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=990-", 990, 1000),
        ("bytes=990-5000", 990, 1000),
        ("bytes=-10", 990, 1000),
        ("bytes=-5000", 0, 1000),
    ):
        reply = await writer.ask(digest, headers={"Range": asked})
        assert (reply.status, reply.body) == (206, DATA[start:end]), asked
        assert reply.headers["Content-Range"] == f"bytes {start}-{end - 1}/1000"
        assert reply.headers["Content-Length"] == str(end - start)


@BYTES
async def test_a_range_past_the_end_is_refused(writer: Registry) -> None:
    digest = await writer.push(DATA)
    for asked in ("bytes=1000-", "bytes=5000-6000", "bytes=-0"):
        reply = await writer.ask(digest, headers={"Range": asked})
        assert reply.error == (416, "InvalidRange"), asked
        assert reply.headers["Content-Range"] == "bytes */1000"


@BYTES
async def test_a_range_that_is_none_is_ignored(writer: Registry) -> None:
    digest = await writer.push(DATA)
    for asked in ("bytes=9-1", "bytes=1-2,5-6", "lines=1-2", "bytes=x-", "bytes=-"):
        reply = await writer.ask(digest, headers={"Range": asked})
        assert (reply.status, reply.body) == (200, DATA), asked


@BYTES
async def test_bytes_have_a_tag_by_which_clients_go_on(writer: Registry) -> None:
    digest = await writer.push(DATA)
    tag = (await writer.ask(digest)).headers["ETag"]
    assert tag == f'"{digest}"'
    assert (await writer.ask(digest, headers={"If-None-Match": tag})).status == 304
    ranged = {"Range": "bytes=10-", "If-Range": tag}
    assert (await writer.ask(digest, headers=ranged)).status == 206
    assert (await writer.ask(digest, headers=ranged | {"If-Range": '"other"'})).status == 200


@BYTES
async def test_bytes_are_nothing_that_a_browser_runs(writer: Registry) -> None:
    reply = await writer.ask(await writer.push(b"<script>"))
    assert reply.headers["Content-Type"] == "application/octet-stream"
    assert reply.headers["X-Content-Type-Options"] == "nosniff"


@BYTES
async def test_a_url_for_head_is_the_holds_own(writer: Registry) -> None:
    digest = await writer.push(DATA)
    url = (await writer.ask(digest, method="HEAD")).json["url"]
    assert url == f"{writer.hold.url}/xrpc/{GET_BLOB}?did={IMAGE_OWNER}&cid={digest}"


async def test_downloads_alone_count_as_pulls(
    writer: Registry, outsider: Registry, hold: Hold, store: str
) -> None:
    async def pulls() -> int:
        return (await hold.stats.of(IMAGE_OWNER, "app")).pulls

    digest = await writer.push(DATA)
    await writer.ask(digest)
    await writer.ask(digest, "HEAD", repo="app")
    await writer.ask(digest, method="HEAD", repo="app")
    await writer.ask(ABSENT, repo="app")
    await outsider.ask(digest, repo="app")
    if store != "s3":
        await writer.ask(digest, headers={"Range": "bytes=5-"}, repo="app")
        await writer.ask(digest, headers={"Range": "bytes=5000-"}, repo="app")
    assert await pulls() == 0
    await writer.ask(digest, repo="app")
    assert await pulls() == 1


async def test_a_deleted_blob_is_gone_at_once(writer: Registry, hold: Hold) -> None:
    digest = await writer.push(DATA)
    assert (await writer.ask(digest)).status == 200
    blob = await hold.oci.blobs.find(parse_digest(digest))
    assert blob is not None
    assert await hold.oci.blobs.delete([blob.digest], unless=lambda _digest: False) == [digest]
    assert (await writer.ask(digest)).error == (404, "BlobNotFound")


@PRESIGNED
async def test_a_blob_that_is_being_checked_is_seen_by_nobody(
    writer: Registry, hold: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = asyncio.Event()
    measure = hold.oci.storage.measure

    async def slowly(upload_id: str, storage_id: str) -> Digest:
        await go_on.wait()
        return await measure(upload_id, storage_id)

    monkeypatch.setattr(hold.oci.storage, "measure", slowly)
    monkeypatch.setattr(hold.oci.uploads, "_wait_s", 0)
    monkeypatch.setattr(blobs, "_CHECK_WAIT_S", 0)
    digest = await writer.push(DATA)
    early = await writer.ask(digest)
    assert early.error == (503, "NotEnoughResources")
    assert int(early.headers["Retry-After"]) > 0
    assert (await writer.ask(digest, "HEAD")).status == 404
    assert (await writer.ask(digest, method="HEAD")).error == (404, "BlobNotFound")
    monkeypatch.setattr(blobs, "_CHECK_WAIT_S", 30)
    asking = asyncio.create_task(writer.fetch(digest))
    go_on.set()
    assert await asking == DATA


@pytest.mark.parametrize("store", ["disk"])
async def test_blobs_of_records_are_served_as_by_every_pds(
    writer: Registry, pds: Pds, alice: Account
) -> None:
    uploaded = await pds.upload(alice, b"\x89PNG\r\n\x1a\nbytes")
    blob = uploaded.json["blob"]
    await pds.create_record(
        alice,
        "app.bsky.actor.profile",
        {"$type": "app.bsky.actor.profile", "avatar": blob},
        rkey="self",
    )
    reply = await pds.get(GET_BLOB, did=alice.did, cid=blob["ref"]["$link"])
    assert (reply.status, reply.body) == (200, b"\x89PNG\r\n\x1a\nbytes")
    assert (await pds.get(GET_BLOB, did=alice.did, cid="nonsense")).error == (400, "InvalidRequest")
