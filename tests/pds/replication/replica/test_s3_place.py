"""A replica in a bucket: servers that refuse, fall silent or are full, and what is said then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from dataclasses import replace
from pathlib import Path

import pytest

from actor_store.blob_store.s3_bucket import S3Bucket
from actor_store.blob_store.s3_location import S3Location
from pds.replication.errors import (
    ReplicaFull,
    ReplicaRefused,
    ReplicationError,
    ReplicaUnavailable,
)
from pds.replication.replica.opening import open_place
from pds.replication.replica.place import ReplicaPlace
from pds.replication.replica.s3_place import S3Place, timestamp_text
from pds.replication.replica.s3_url import S3Address
from pds.replication.replica.url import ReplicaUrl
from tests.pds.replication.replica.conftest import s3_environ, s3_url
from tests.processes import free_port
from tests.seaweedfs import SeaweedFs
from tests.tcp_proxy import TcpProxy

PART = 8 * 1024 * 1024
LTX = "account.sqlite/ltx/0/0000000000000001-0000000000000001.ltx"


@pytest.fixture
def location(bucket_location: S3Location, proxy: TcpProxy, seaweedfs: SeaweedFs) -> S3Location:
    """A bucket behind the proxy, as a URL names it; no answer is waited for long."""
    url = ReplicaUrl.parse(s3_url(seaweedfs, bucket_location.bucket, port=proxy.port), environ={})
    assert isinstance(url.address, S3Address)
    found = url.address.location(s3_environ(seaweedfs))
    return replace(found, request_timeout_ms=700)


@pytest.fixture
async def behind(location: S3Location) -> AsyncIterator[S3Place]:
    place = S3Place(S3Bucket(location), prefix="replica/")
    yield place
    await place.close()


def every_call(place: ReplicaPlace, tmp_path: Path) -> list[Awaitable[object]]:
    return [*reads(place, tmp_path), *writes(place)]


def reads(place: ReplicaPlace, tmp_path: Path) -> list[Awaitable[object]]:
    async def listed() -> list[str]:
        return [file.name async for file in place.list()]

    return [listed(), place.read("a", max_bytes=9), place.download("a", tmp_path / "file")]


def writes(place: ReplicaPlace) -> list[Awaitable[object]]:
    return [
        place.write("a", b"2"),
        place.write_if_same("a", b"2", before=b"1"),
        place.upload("a", Path(__file__)),
        place.delete(["a"]),
    ]


async def said(doing: Awaitable[object], kind: type[ReplicationError]) -> str:
    """What is said when something fails: never the setting of another store."""
    with pytest.raises(kind) as raised:
        await doing
    assert "PDS_" not in str(raised.value)
    assert "blob store" not in str(raised.value)
    return str(raised.value)


def opened(server: SeaweedFs, bucket: str, **environ: str) -> ReplicaPlace:
    return open_place(
        ReplicaUrl.parse(s3_url(server, bucket), environ={}),
        environ={**s3_environ(server), **environ},
    )


@pytest.mark.parametrize(
    "wrong", [{"AWS_ACCESS_KEY_ID": "nobody"}, {"AWS_SECRET_ACCESS_KEY": "wrong"}]
)
async def test_wrong_credentials_are_called_so(
    seaweedfs: SeaweedFs, tmp_path: Path, wrong: dict[str, str]
) -> None:
    place = opened(seaweedfs, (await seaweedfs.create_bucket()).bucket, **wrong)
    for doing in every_call(place, tmp_path):
        assert "set LITESTREAM_ACCESS_KEY_ID and LITESTREAM_SECRET_ACCESS_KEY" in await said(
            doing, ReplicaRefused
        )
    await place.close()


async def test_missing_credentials_are_asked_for(
    seaweedfs: SeaweedFs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    place = open_place(ReplicaUrl.parse(s3_url(seaweedfs, "bucket"), environ={}), environ={})
    message = await said(place.write("a", b"1"), ReplicaRefused)
    assert "there are no credentials" in message
    await place.close()


async def test_a_missing_bucket_is_called_so(seaweedfs: SeaweedFs, tmp_path: Path) -> None:
    place = opened(seaweedfs, "no-such-bucket")
    for doing in every_call(place, tmp_path):
        message = await said(doing, ReplicaRefused)
        assert "create it, or correct the bucket and ?endpoint= of the replica's URL" in message
    await place.close()


async def test_a_key_that_only_reads_can_restore_and_not_replicate(
    seaweedfs: SeaweedFs, tmp_path: Path
) -> None:
    bucket = (await seaweedfs.create_bucket()).bucket
    writer = opened(seaweedfs, bucket)
    await writer.write("a", b"1")
    reader = opened(seaweedfs, bucket, AWS_ACCESS_KEY_ID=seaweedfs.read_only_key_id)
    for doing in reads(reader, tmp_path):
        await doing
    assert (tmp_path / "file").read_bytes() == b"1"
    for doing in writes(reader):
        assert "allow this key s3:ListBucket" in await said(doing, ReplicaRefused)
    assert await writer.read("a", max_bytes=9) == b"1"
    await reader.close()
    await writer.close()


@pytest.mark.usefixtures("quick_s3_retries")
async def test_a_server_that_is_down_is_unavailable(tmp_path: Path) -> None:
    url = ReplicaUrl.parse(f"s3://bucket/x?endpoint=http://127.0.0.1:{free_port()}", environ={})
    place = open_place(url, environ={"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"})
    results = await asyncio.gather(
        *(said(doing, ReplicaUnavailable) for doing in every_call(place, tmp_path))
    )
    assert all("the replica in the bucket bucket at http://127" in result for result in results)
    await place.close()


async def test_a_server_that_falls_silent_is_given_up(
    behind: S3Place, proxy: TcpProxy, tmp_path: Path
) -> None:
    await behind.write("a", b"1")
    proxy.mode = "stall"
    results = await asyncio.gather(
        *(said(doing, ReplicaUnavailable) for doing in every_call(behind, tmp_path))
    )
    assert all("does not answer" in result for result in results)
    proxy.mode = "pass"
    assert await behind.read("a", max_bytes=9) == b"1"


@pytest.mark.parametrize(
    ("refusal", "kind", "message"),
    [
        ((403, "AccessDenied"), ReplicaRefused, "allow this key"),
        ((403, "RequestTimeTooSkewed"), ReplicaRefused, "set the clock"),
        ((400, "ExpiredToken"), ReplicaRefused, "AWS_SESSION_TOKEN"),
        ((400, "AuthorizationHeaderMalformed"), ReplicaRefused, "?region="),
        ((507, "InsufficientStorage"), ReplicaFull, "make room there"),
        ((400, "QuotaExceeded"), ReplicaFull, "raise the quota"),
        ((418, "Teapot"), ReplicaRefused, "the log of the S3 server"),
        ((503, "SlowDown"), ReplicaUnavailable, "SlowDown"),
    ],
)
async def test_what_a_server_says_becomes_an_error_with_a_remedy(
    behind: S3Place,
    proxy: TcpProxy,
    refusal: tuple[int, str],
    kind: type[ReplicationError],
    message: str,
) -> None:
    await behind.write("a", b"1")
    proxy.mode, proxy.refusal = "refuse", refusal
    with pytest.raises(kind) as raised:
        await behind.write("a", b"2")
    assert type(raised.value) is kind
    assert message in str(raised.value)
    proxy.mode = "pass"
    assert await behind.read("a", max_bytes=9) == b"1"


async def test_a_busy_server_is_asked_again(behind: S3Place, proxy: TcpProxy) -> None:
    proxy.mode, proxy.refuse_only = "refuse", 2
    await behind.write("a", b"1")
    assert proxy.refused == 2
    assert await behind.read("a", max_bytes=9) == b"1"


async def test_a_download_that_is_cut_off_begins_anew(
    behind: S3Place, proxy: TcpProxy, tmp_path: Path
) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(bytes(range(256)) * (PART // 128))
    await behind.upload("a", source)
    downloading = asyncio.create_task(behind.download("a", target))
    while not target.exists():  # noqa: ASYNC110 (nothing tells it)
        await asyncio.sleep(0)
    proxy.cut()
    assert await downloading == 2 * PART
    assert target.read_bytes() == source.read_bytes()


async def test_an_upload_that_fails_leaves_no_object_and_no_parts(
    behind: S3Place, location: S3Location, proxy: TcpProxy, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(3 * PART))
    await behind.write("b", b"1")
    # In the second part, and after the tries for it.
    proxy.cut_after = proxy.upload_bytes + PART + PART // 2
    with pytest.raises(ReplicaUnavailable):
        await behind.upload("a", source)
    assert proxy.connections > 1
    proxy.cut_after = None
    assert [file.name async for file in behind.list()] == ["b"]


async def test_a_condition_whose_answer_was_lost_holds(behind: S3Place, proxy: TcpProxy) -> None:
    await behind.write("a", b"1")
    bucket = behind._bucket
    put = bucket.put

    async def put_twice(key: str, data: bytes, **more: object) -> None:
        await put(key, data, **more)  # type: ignore[arg-type]
        await put(key, data, **more)  # type: ignore[arg-type]

    bucket.put = put_twice  # type: ignore[method-assign]
    assert await behind.write_if_same("a", b"2", before=b"1")
    assert await behind.read("a", max_bytes=9) == b"2"


@pytest.mark.parametrize("refusal", [(501, "NotImplemented"), (400, "InvalidArgument")])
async def test_a_server_without_conditions_gets_none(
    behind: S3Place, proxy: TcpProxy, refusal: tuple[int, str]
) -> None:
    await behind.write("a", b"1")
    put = behind._bucket.put
    conditions = []

    async def put_without_conditions(
        key: str, data: bytes, *, more: dict[str, str] | None = None
    ) -> None:
        conditions.append(more)
        if more:
            proxy.refusal, proxy.refuse_only = refusal, proxy.refused + 1
            proxy.mode = "refuse"
        await put(key, data, more=more)

    behind._bucket.put = put_without_conditions  # type: ignore[method-assign, assignment]
    assert await behind.write_if_same("a", b"2", before=b"1")
    assert await behind.write_if_same("b", b"3", before=None)
    assert not await behind.write_if_same("a", b"4", before=b"1")
    assert await behind.read("a", max_bytes=9) == b"2"
    assert [bool(condition) for condition in conditions] == [True, False, True, False]


async def test_google_deletes_one_by_one(
    bucket_location: S3Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = S3Bucket(bucket_location)
    place = S3Place(bucket, prefix="x/")
    for name in ("a", LTX):
        await place.write(name, b"1")
    monkeypatch.setattr("pds.replication.replica.s3_place._DELETES_ONE_BY_ONE", "127.0.0.1")
    monkeypatch.delattr(S3Bucket, "delete")
    await place.delete(["a", LTX, "none"])
    assert [file.name async for file in place.list()] == []
    await place.close()


async def test_a_closed_place_says_so(seaweedfs: SeaweedFs) -> None:
    place = opened(seaweedfs, "bucket")
    await place.close()
    assert "is closed" in await said(place.read("a", max_bytes=1), ReplicaUnavailable)


@pytest.mark.parametrize(
    ("timestamp_ms", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_700_000_000_000, "2023-11-14T22:13:20Z"),
        (1_700_000_000_120, "2023-11-14T22:13:20.12Z"),
        (1_700_000_000_007, "2023-11-14T22:13:20.007Z"),
    ],
)
def test_times_are_written_as_litestream_writes_them(timestamp_ms: int, text: str) -> None:
    assert timestamp_text(timestamp_ms) == text
