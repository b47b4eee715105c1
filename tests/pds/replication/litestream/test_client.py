"""Requests to a real daemon: what succeeds, and what each failure is called."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from pds.replication.errors import LitestreamFailed, Trouble
from pds.replication.litestream.client import LitestreamClient
from pds.replication.litestream.daemon import LitestreamDaemon
from pds.replication.litestream.local_state import reset, state_directory
from tests.pds.replication.litestream.daemons import (
    add,
    make_database,
    registered,
    restored,
    running,
    s3_environ,
    s3_url,
)
from tests.processes import free_port
from tests.seaweedfs import SeaweedFs
from tests.small_disk import filled, small_disk


@pytest.fixture
async def daemon() -> AsyncIterator[LitestreamDaemon]:
    """A daemon without databases."""
    async with running() as daemon:
        yield daemon


@pytest.fixture
def client(daemon: LitestreamDaemon) -> LitestreamClient:
    """Its client."""
    return daemon.client


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database with a zero in it."""
    return make_database(tmp_path / "did:web:example.com" / "store.sqlite")


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Its place."""
    return f"file://{tmp_path / 'replica'}"


def make_noise(path: Path) -> None:
    """Damage a file, which keeps its beginning if it is long."""
    path.write_bytes(path.read_bytes()[:100].replace(b"SQLite", b"nonono") + b"noise" * 2000)


async def trouble_of_sync(
    client: LitestreamClient, path: Path, *, timeout_s: float = 20
) -> LitestreamFailed:
    """The failure of a sync."""
    with pytest.raises(LitestreamFailed) as caught:
        await client.sync(path, timeout_s=timeout_s)
    return caught.value


async def test_what_is_committed_is_in_the_replica_after_a_sync(
    client: LitestreamClient, database: Path, url: str, tmp_path: Path
) -> None:
    assert await client.register(database, url)
    assert not await client.register(database, url)
    first = await client.sync(database)
    assert (first.txid, first.replicated_txid, first.changed) == (1, 1, True)
    add(database, 1)
    second = await client.sync(database)
    assert (second.replicated_txid, second.changed) == (2, True)
    assert not (await client.sync(database)).changed
    assert restored(url, tmp_path) == [0, 1]
    assert await registered(client) == [database]
    assert await client.unregister(database) == 2
    assert await registered(client) == []


async def test_changes_while_it_was_not_registered_are_sent_by_the_next_sync(
    client: LitestreamClient, database: Path, url: str, tmp_path: Path
) -> None:
    await client.register(database, url)
    await client.sync(database)
    await client.unregister(database)
    for number in range(1, 4):
        add(database, number)
    await client.register(database, url)
    assert (await client.sync(database)).replicated_txid == 2
    assert restored(url, tmp_path) == [0, 1, 2, 3]


@pytest.mark.parametrize("odd", ["did:web:localhost%3A2583", "a?mode=ro", "a#b", "%25", "ü 🐘"])
async def test_a_directory_with_characters_of_a_uri_is_no_obstacle(
    client: LitestreamClient, odd: str, url: str, tmp_path: Path
) -> None:
    one = make_database(tmp_path / odd / "store.sqlite")
    two = make_database(tmp_path / odd / "other.sqlite", rows=2)
    for database, place in ((one, f"{url}/one"), (two, f"{url}/two")):
        await client.register(database, place)
        assert (await client.sync(database)).replicated_txid == 1
        assert state_directory(database).is_dir()
    assert await registered(client) == [one, two]
    await client.unregister(one)
    add(two, 2)
    await client.sync(two)
    await client.unregister(two)
    assert (restored(f"{url}/one", tmp_path), restored(f"{url}/two", tmp_path)) == ([0], [0, 1, 2])
    assert not [path for path in client._socket.parent.iterdir() if path.is_symlink()]


async def test_many_databases_are_sent_to_s3_at_once(seaweedfs: SeaweedFs, tmp_path: Path) -> None:
    bucket = (await seaweedfs.create_bucket()).bucket
    names = [f"actors/{number:02}/store.sqlite" for number in range(40)]
    environ = s3_environ(seaweedfs)

    async def send(client: LitestreamClient, number: int, name: str) -> None:
        database = make_database(tmp_path / name, number + 1)
        await client.register(database, s3_url(seaweedfs, bucket, name))
        assert (await client.sync(database)).replicated_txid == 1
        await client.unregister(database)

    async with running(environ=environ) as daemon:
        await asyncio.gather(*(send(daemon.client, *numbered) for numbered in enumerate(names)))
        assert await registered(daemon.client) == []
    for number in (0, 39):
        url = s3_url(seaweedfs, bucket, names[number])
        assert restored(url, tmp_path, environ) == list(range(number + 1))


async def test_no_more_requests_are_under_way_than_allowed(tmp_path: Path) -> None:
    under_way = 0
    most = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal under_way, most
        while await reader.readuntil(b"\r\n\r\n"):
            await reader.readuntil(b"}")
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0)
            under_way -= 1
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            await writer.drain()
            writer.close()
            break

    client = LitestreamClient(tmp_path / "s", concurrency=3)
    async with await asyncio.start_unix_server(serve, tmp_path / "s"):
        await asyncio.gather(*(client.unregister(tmp_path / str(n)) for n in range(20)))
        await client.close()
    assert 1 <= most <= 3


async def test_a_database_that_is_not_there_is_named_and_nothing_waits(
    client: LitestreamClient, database: Path, url: str
) -> None:
    missing = database.with_name("missing.sqlite")
    with pytest.raises(LitestreamFailed, match="missing") as caught:
        await client.register(missing, url)
    assert caught.value.trouble is Trouble.DATABASE_GONE
    assert (await trouble_of_sync(client, database)).trouble is Trouble.NOT_REGISTERED
    await client.unregister(database)
    await client.register(database, url)
    # The file vanishes before it was ever opened, and afterwards.
    for _ in range(2):
        shutil.move(database, missing)
        assert (await trouble_of_sync(client, database)).trouble is Trouble.DATABASE_GONE
        shutil.move(missing, database)
        await client.sync(database)


async def test_an_actor_that_is_deleted_while_it_is_registered_is_let_go(
    client: LitestreamClient, database: Path, url: str
) -> None:
    await client.register(database, url)
    await client.sync(database)
    shutil.rmtree(database.parent)
    assert (await trouble_of_sync(client, database)).trouble is Trouble.DATABASE_GONE
    with pytest.raises(LitestreamFailed):
        await client.unregister(database)
    assert await registered(client) == []
    assert not database.parent.exists()


async def test_another_file_of_the_same_name_is_noticed_and_replicated(
    client: LitestreamClient, database: Path, url: str, tmp_path: Path
) -> None:
    await client.register(database, url)
    await client.sync(database)
    other = make_database(tmp_path / "other.sqlite", rows=5)
    for part in ("-wal", "-shm"):
        database.with_name(f"{database.name}{part}").unlink(missing_ok=True)
    other.replace(database)
    assert (await trouble_of_sync(client, database)).trouble is Trouble.DATABASE_REPLACED
    with pytest.raises(LitestreamFailed):
        await client.unregister(database)
    await client.register(database, url)
    await client.sync(database)
    assert restored(url, tmp_path) == [0, 1, 2, 3, 4]


async def test_a_damaged_local_file_is_told_apart_and_can_be_reset(
    client: LitestreamClient, database: Path, url: str, tmp_path: Path
) -> None:
    await client.register(database, url)
    await client.sync(database)
    await client.unregister(database)
    (newest,) = (state_directory(database) / "ltx" / "0").iterdir()
    make_noise(newest)
    add(database, 1)
    await client.register(database, url)
    assert (await trouble_of_sync(client, database)).trouble is Trouble.LOCAL_STATE_DAMAGED
    await client.unregister(database)
    reset(database)
    await client.register(database, url)
    assert (await client.sync(database)).replicated_txid >= 2
    assert restored(url, tmp_path) == [0, 1]


async def test_a_damaged_database_is_told_apart(
    client: LitestreamClient, database: Path, url: str
) -> None:
    make_noise(database)
    await client.register(database, url)
    assert (await trouble_of_sync(client, database)).trouble is Trouble.DATABASE_DAMAGED


async def test_a_locked_database_is_busy_and_sent_later(
    client: LitestreamClient, database: Path, url: str
) -> None:
    await client.register(database, url)
    with closing(sqlite3.connect(database)) as db:
        db.execute("BEGIN EXCLUSIVE")
        assert (await trouble_of_sync(client, database)).trouble is Trouble.DATABASE_BUSY
    assert (await client.sync(database)).changed


async def test_a_place_that_cannot_be_written_to_refuses(
    client: LitestreamClient, database: Path, tmp_path: Path
) -> None:
    file = make_database(tmp_path / "file")
    await client.register(database, f"file://{file}/replica")
    assert (await trouble_of_sync(client, database)).trouble is Trouble.REPLICA_REFUSED


async def test_a_url_that_litestream_does_not_know_is_refused_without_its_password(
    client: LitestreamClient, database: Path
) -> None:
    with pytest.raises(LitestreamFailed) as caught:
        await client.register(database, "gopher://user:secret@host:x/place")
    assert caught.value.trouble is Trouble.REPLICA_REFUSED
    assert "secret" not in str(caught.value)


async def test_a_bucket_that_is_not_there_and_wrong_credentials_refuse(
    seaweedfs: SeaweedFs, database: Path
) -> None:
    bucket = (await seaweedfs.create_bucket()).bucket
    environ = s3_environ(seaweedfs)
    async with running(environ=environ) as daemon:
        await daemon.client.register(database, s3_url(seaweedfs, "nowhere", "x"))
        failed = await trouble_of_sync(daemon.client, database)
        assert (failed.trouble, "NoSuchBucket" in str(failed)) == (Trouble.REPLICA_REFUSED, True)
    async with running(environ={**environ, "AWS_SECRET_ACCESS_KEY": "wrong"}) as daemon:
        await daemon.client.register(database, s3_url(seaweedfs, bucket, "x"))
        failed = await trouble_of_sync(daemon.client, database)
        assert (failed.trouble, "403" in str(failed)) == (Trouble.REPLICA_REFUSED, True)


async def test_a_server_that_is_not_there_is_unavailable(
    seaweedfs: SeaweedFs, database: Path
) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    async with running(environ=s3_environ(seaweedfs)) as daemon:
        await daemon.client.register(database, f"s3://b/x?endpoint={endpoint}&region=r")
        failed = await trouble_of_sync(daemon.client, database, timeout_s=1)
        assert failed.trouble is Trouble.REPLICA_UNAVAILABLE


async def test_a_server_that_hangs_is_unavailable_in_bounded_time(
    seaweedfs: SeaweedFs, database: Path, tmp_path: Path
) -> None:
    bucket = (await seaweedfs.create_bucket()).bucket
    environ = s3_environ(seaweedfs)
    url = s3_url(seaweedfs, bucket, "x")
    async with running(environ=environ) as daemon:
        await daemon.client.register(database, url)
        await daemon.client.sync(database)
        add(database, 1)
        seaweedfs.pause()
        try:
            failed = await trouble_of_sync(daemon.client, database, timeout_s=1)
        finally:
            seaweedfs.resume()
        assert failed.trouble in (Trouble.REPLICA_UNAVAILABLE, Trouble.TIMED_OUT)
        assert (await daemon.client.sync(database)).replicated_txid == 2
    assert restored(url, tmp_path, environ) == [0, 1]


@pytest.mark.parametrize(
    ("full", "trouble"), [("data", Trouble.DISK_FULL), ("replica", Trouble.REPLICA_FULL)]
)
async def test_a_full_disk_is_told_apart_and_waited_out(
    client: LitestreamClient, tmp_path: Path, full: str, trouble: Trouble
) -> None:
    with small_disk(tmp_path / full, size_mb=8) as disk:
        database = make_database(tmp_path / "data" / "store.sqlite", rows=50_000)
        url = f"file://{tmp_path / 'replica'}"
        await client.register(database, url)
        with filled(disk, but_bytes=64 * 1024):
            assert (await trouble_of_sync(client, database)).trouble is trouble
        await client.sync(database)
        await client.unregister(database)
        assert restored(url, tmp_path) == list(range(50_000))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_a_file_that_this_user_may_not_read_is_forbidden(
    client: LitestreamClient, database: Path, url: str
) -> None:
    os.chmod(database, 0)  # noqa: PTH101
    await client.register(database, url)
    assert (await trouble_of_sync(client, database)).trouble is Trouble.FORBIDDEN


async def test_without_a_daemon_the_failure_says_so(tmp_path: Path, database: Path) -> None:
    client = LitestreamClient(tmp_path / "nothing")
    with pytest.raises(LitestreamFailed) as caught:
        await client.register(database, "file:///x")
    assert caught.value.trouble is Trouble.DAEMON_AWAY
    await client.close()
    await client.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 500 No\r\nContent-Length: 5\r\n\r\nwords",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n[{}]",
        b'HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n{"txid": 1, "x": "' + b"x" * 200_000,
        b"garbage\r\n\r\n",
    ],
)
async def test_an_answer_that_makes_no_sense_is_a_failure(tmp_path: Path, answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    client = LitestreamClient(tmp_path / "s")
    async with await asyncio.start_unix_server(serve, tmp_path / "s"):
        with pytest.raises(LitestreamFailed):
            await client.unregister(tmp_path / "x")
        await client.close()
