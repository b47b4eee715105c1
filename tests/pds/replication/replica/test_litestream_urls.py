"""The real daemon writes to the very files that `ReplicaPlace` reads, wherever that is."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest

from actor_store.blob_store.s3_bucket import S3Bucket
from pds.replication.litestream.daemon import LitestreamDaemon
from pds.replication.replica.names import actor_database
from pds.replication.replica.opening import open_place, way_for_litestream
from pds.replication.replica.s3_place import timestamp_text
from pds.replication.replica.s3_url import S3Address
from pds.replication.replica.url import ReplicaUrl
from tests.pds.replication.litestream.daemons import replicate_once, running
from tests.pds.replication.replica.conftest import running_sftp_server, s3_environ
from tests.seaweedfs import SeaweedFs

FIRST = "0000000000000001-0000000000000001.ltx"
DATABASES = ("account.sqlite", actor_database("did:web:localhost%3A2583"))
PREFIXES = ("", "plain", "with space/100%/ä+b&c=d;e'f", "%41/~x/(1)*!")


@pytest.fixture
async def daemon(seaweedfs: SeaweedFs) -> AsyncIterator[LitestreamDaemon]:
    """A daemon that knows the credentials of the S3 server."""
    async with running(environ={**os.environ, **s3_environ(seaweedfs)}) as daemon:
        yield daemon


async def check(
    daemon: LitestreamDaemon,
    url: ReplicaUrl,
    directory: Path,
    environ: dict[str, str] | None = None,
) -> None:
    """Replicate databases, and find what Litestream has written, and nothing else."""
    place = open_place(url, environ=environ or {})
    async with AsyncExitStack() as stack:
        stack.push_async_callback(place.close)
        way = await stack.enter_async_context(way_for_litestream(url))
        for number, database in enumerate(DATABASES):
            path = directory / f"{number}.sqlite"
            await replicate_once(daemon, path, way.for_litestream(database))
            found = [file async for file in place.list(f"{database}/ltx/0/")]
            assert [file.name for file in found] == [f"{database}/ltx/0/{FIRST}"]
            data = await place.read(found[0].name, max_bytes=1_000_000)
            assert (data[:4], len(data)) == (b"LTX1", found[0].size)
        assert len([file async for file in place.list()]) == len(DATABASES)


@pytest.mark.parametrize("name", ["plain", "a-b._~!$&'()*+,;=:@[]c"])
async def test_in_a_directory(daemon: LitestreamDaemon, tmp_path: Path, name: str) -> None:
    root = tmp_path / name
    root.mkdir()
    await check(daemon, ReplicaUrl.parse(f"file://{root}/"), tmp_path)
    assert [path.name for path in root.rglob("*.ltx")] == [FIRST, FIRST]


@pytest.mark.parametrize("prefix", PREFIXES)
async def test_in_a_bucket(
    daemon: LitestreamDaemon, seaweedfs: SeaweedFs, tmp_path: Path, prefix: str
) -> None:
    bucket = (await seaweedfs.create_bucket()).bucket
    url = ReplicaUrl.parse(f"s3://{bucket}/{quote(prefix)}?endpoint={seaweedfs.url}", environ={})
    environ = s3_environ(seaweedfs)
    await check(daemon, url, tmp_path, environ)
    address = url.address
    assert isinstance(address, S3Address)
    files = S3Bucket(address.location(environ))
    try:
        keys = [info.key async for info in files.list(address.prefix)]
    finally:
        await files.close()
    above = f"{prefix}/" if prefix else ""
    assert sorted(keys) == sorted(f"{above}{database}/0000/{FIRST}" for database in DATABASES)


@pytest.mark.parametrize("directory", ["replica", "with space/100%/ä"])
async def test_on_an_ssh_server(daemon: LitestreamDaemon, tmp_path: Path, directory: str) -> None:
    async with running_sftp_server(tmp_path) as server:
        await check(daemon, ReplicaUrl.parse(server.url(quote(directory))), tmp_path)
        root = server.directory / directory
        assert [path.name for path in root.rglob("*.ltx")] == [FIRST, FIRST]


async def test_an_ltx_file_of_ours_has_its_time_where_litestream_has_it(
    daemon: LitestreamDaemon, seaweedfs: SeaweedFs, tmp_path: Path
) -> None:
    environ = s3_environ(seaweedfs)
    bucket = (await seaweedfs.create_bucket()).bucket
    url = ReplicaUrl.parse(f"s3://{bucket}?endpoint={seaweedfs.url}", environ={})
    path = tmp_path / "account.sqlite"
    await replicate_once(daemon, path, url.for_litestream("account.sqlite"))
    address = url.address
    assert isinstance(address, S3Address)
    place, files = open_place(url, environ=environ), S3Bucket(address.location(environ))
    try:
        ours = f"account.sqlite/ltx/1/{FIRST}"
        theirs = await place.read(f"account.sqlite/ltx/0/{FIRST}", max_bytes=1_000_000)
        written_ms = int.from_bytes(theirs[32:40], "big")
        await place.write(ours, theirs, timestamp_ms=written_ms)
        texts = []
        for level in (0, 1):
            async with files._client.calling() as calls:
                head = await calls.head_object(
                    Bucket=bucket, Key=f"account.sqlite/{level:04x}/{FIRST}"
                )
            texts.append(head["Metadata"]["litestream-timestamp"])
    finally:
        await place.close()
        await files.close()
    assert texts[0] == texts[1] == timestamp_text(written_ms)
    assert abs(datetime.fromisoformat(texts[0]) - datetime.now(UTC)).total_seconds() < 60
