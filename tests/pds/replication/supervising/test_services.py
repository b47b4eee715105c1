"""The service databases: followed from their first to their last write, whatever happens."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from database.opening import open_database
from database.wal import files_of as database_files
from pds.replication.errors import Trouble
from pds.replication.litestream import continuity
from pds.replication.litestream.client import Synced
from pds.replication.litestream.config import services_config
from pds.replication.litestream.daemon import LitestreamDaemon
from pds.replication.litestream.local_state import state_directory
from pds.replication.supervising.services import ServiceDatabase, ServiceDatabases, ServiceStatus
from tests.pds.replication.litestream.daemons import (
    QUICK,
    add,
    make_database,
    restored,
    running,
    s3_environ,
    s3_url,
)
from tests.seaweedfs import SeaweedFs

_DEADLINE_S = 40.0
_INTERVAL_S = 0.05


@pytest.fixture
async def daemon() -> AsyncIterator[LitestreamDaemon]:
    """The daemon of the service databases."""
    async with running(services_config(retention_days=7), patience=QUICK) as daemon:
        yield daemon


@asynccontextmanager
async def following(
    daemon: LitestreamDaemon, *databases: ServiceDatabase, url_of: Callable[[str], str]
) -> AsyncIterator[ServiceDatabases]:
    """Service databases that are followed."""
    services = ServiceDatabases(daemon.client, databases, url_of=url_of, interval_s=_INTERVAL_S)
    daemon.on_restart = services.register_again
    services.start()
    try:
        yield services
    finally:
        await services.stop()


async def until(
    services: ServiceDatabases, holds: Callable[[ServiceStatus], bool]
) -> ServiceStatus:
    """Wait until something holds for the only database, and return where that stands."""
    async with asyncio.timeout(_DEADLINE_S):
        while True:
            for status in services.statuses():
                if holds(status):
                    return status
            await asyncio.sleep(_INTERVAL_S / 2)


def is_synced(status: ServiceStatus) -> bool:
    """Whether the replica has all of it."""
    return status.synced_at_s is not None and status.error is None and status.lag_s == 0


def after(txid: int) -> Callable[[ServiceStatus], bool]:
    """Whether more has reached the replica."""
    return lambda status: is_synced(status) and status.txid > txid


def places(tmp_path: Path) -> Callable[[str], str]:
    """A replica in a directory."""
    return lambda name: f"file://{tmp_path / 'replica'}/{name}"


async def test_each_has_its_name_in_the_replica_wherever_it_is(
    daemon: LitestreamDaemon, tmp_path: Path
) -> None:
    files = {
        "account.sqlite": tmp_path / "elsewhere" / "accounts.db",
        "sequencer.sqlite": tmp_path / "pds" / "sequencer.sqlite",
        "did_cache.sqlite": tmp_path / "ram" / "cache",
    }
    for number, path in enumerate(files.values()):
        make_database(path, rows=number + 1)
    databases = [ServiceDatabase(name, path) for name, path in files.items()]
    async with following(daemon, *databases, url_of=places(tmp_path)) as services:
        await until(services, lambda _: all(map(is_synced, services.statuses())))
    for number, name in enumerate(files):
        assert restored(places(tmp_path)(name), tmp_path) == list(range(number + 1))


async def test_a_write_is_in_the_replica_soon_and_counted(
    daemon: LitestreamDaemon, tmp_path: Path
) -> None:
    path = make_database(tmp_path / "account.sqlite")
    database = ServiceDatabase(path.name, path)
    async with following(daemon, database, url_of=places(tmp_path)) as services:
        txid = 0
        for number in range(1, 4):
            txid = (await until(services, after(txid))).txid
            add(path, number)
        await until(services, after(txid))
    assert restored(places(tmp_path)(path.name), tmp_path) == [0, 1, 2, 3]


async def test_nothing_is_asked_while_nothing_changes(
    daemon: LitestreamDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_database(tmp_path / "account.sqlite")
    sync, asked = daemon.client.sync, []

    async def counted(path: Path, *, timeout_s: float) -> Synced:
        asked.append(path)
        return await sync(path, timeout_s=timeout_s)

    monkeypatch.setattr(daemon.client, "sync", counted)
    async with following(daemon, ServiceDatabase(path.name, path), url_of=places(tmp_path)) as all_:
        await until(all_, is_synced)
        # A file that was written a moment ago is asked for again, and Litestream makes checkpoints.
        before = -1
        async with asyncio.timeout(_DEADLINE_S):
            while len(asked) != before:
                before = len(asked)
                await asyncio.sleep(20 * _INTERVAL_S)
        add(path, 1)
        async with asyncio.timeout(_DEADLINE_S):
            while len(asked) == before:  # noqa: ASYNC110 (files set no event)
                await asyncio.sleep(_INTERVAL_S)
        assert set(asked) == {path}


async def test_an_optional_one_is_picked_up_when_it_appears(
    daemon: LitestreamDaemon, tmp_path: Path
) -> None:
    path = tmp_path / "hold.sqlite"
    database = ServiceDatabase(path.name, path, is_optional=True)
    with capture_logs() as logged:
        async with following(daemon, database, url_of=places(tmp_path)) as services:
            await asyncio.sleep(3 * _INTERVAL_S)
            assert services.statuses() == []
            path.touch()  # As SQLite does before the first page.
            await asyncio.sleep(3 * _INTERVAL_S)
            assert services.statuses() == []
            make_database(path, rows=2)
            await until(services, is_synced)
    assert restored(places(tmp_path)(path.name), tmp_path) == [0, 1]
    assert not [line for line in logged if line["log_level"] == "error"]


async def test_a_missing_one_is_an_error_until_it_is_there(
    daemon: LitestreamDaemon, tmp_path: Path
) -> None:
    path = tmp_path / "account.sqlite"
    async with following(daemon, ServiceDatabase(path.name, path), url_of=places(tmp_path)) as all_:
        failed = await until(all_, lambda status: status.error is not None)
        assert (failed.trouble, failed.is_there) == (Trouble.DATABASE_GONE, False)
        make_database(path)
        await until(all_, is_synced)
    assert restored(places(tmp_path)(path.name), tmp_path) == [0]


async def test_one_that_was_deleted_and_made_again_is_followed_anew(
    daemon: LitestreamDaemon, tmp_path: Path
) -> None:
    path = make_database(tmp_path / "did_cache.sqlite")
    async with following(daemon, ServiceDatabase(path.name, path), url_of=places(tmp_path)) as all_:
        txid = (await until(all_, is_synced)).txid
        for part in ("", "-wal", "-shm"):
            path.with_name(f"{path.name}{part}").unlink(missing_ok=True)
        make_database(path, rows=3)
        await until(all_, after(txid))
    assert restored(places(tmp_path)(path.name), tmp_path) == [0, 1, 2]


async def test_one_that_an_older_copy_replaces_is_sent_whole(
    daemon: LitestreamDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even one whose WAL goes on as that of the present one did, and ends with the same page."""

    def write(path: Path, number: int) -> None:
        db = open_database(path, wal_autocheckpoint=None)
        db.run("INSERT INTO number VALUES (?)", (number,))
        db.run("INSERT INTO other VALUES (0)")
        db.close()

    path, copy = tmp_path / "account.sqlite", tmp_path / "copy"
    db = open_database(path, wal_autocheckpoint=None)
    db.script("CREATE TABLE number (value INTEGER); CREATE TABLE other (value INTEGER)")
    db.close()
    async with following(daemon, ServiceDatabase(path.name, path), url_of=places(tmp_path)) as all_:
        txid = (await until(all_, is_synced)).txid
        for old, new in zip(database_files(path)[:2], database_files(copy)[:2], strict=True):
            shutil.copyfile(old, new)
        write(path, 1)
        write(copy, 2)
        txid = (await until(all_, after(txid))).txid
        monkeypatch.setattr(continuity, "_WAIT_MS", 10)
        with closing(open_database(copy)) as reader, reader.snapshot():
            reader.value("SELECT count(*) FROM number")
            for old, new in zip(database_files(copy), database_files(path), strict=True):
                old.replace(new)
            # It cannot be prepared for that now, which must not be forgotten.
            await until(all_, lambda status: status.trouble is Trouble.DATABASE_BUSY)
        await until(all_, after(txid))
    assert restored(places(tmp_path)(path.name), tmp_path) == [2]


async def test_one_with_files_of_litestream_that_cannot_be_read_is_an_error_until_they_can(
    daemon: LitestreamDaemon, tmp_path: Path
) -> None:
    path = make_database(tmp_path / "account.sqlite")
    level_zero = state_directory(path) / "ltx" / "0"
    level_zero.parent.mkdir(parents=True)
    level_zero.symlink_to(level_zero)
    async with following(daemon, ServiceDatabase(path.name, path), url_of=places(tmp_path)) as all_:
        failed = await until(all_, lambda status: status.error is not None)
        assert failed.trouble is Trouble.FORBIDDEN
        level_zero.unlink()
        await until(all_, is_synced)
    assert restored(places(tmp_path)(path.name), tmp_path) == [0]


@pytest.mark.parametrize("fate", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_daemon_that_ends_or_hangs_delays_it_only(
    daemon: LitestreamDaemon, tmp_path: Path, fate: signal.Signals
) -> None:
    path = make_database(tmp_path / "account.sqlite")
    async with following(daemon, ServiceDatabase(path.name, path), url_of=places(tmp_path)) as all_:
        txid = (await until(all_, is_synced)).txid
        assert daemon.pid is not None
        os.kill(daemon.pid, fate)
        add(path, 1)
        await until(all_, after(txid))
        assert daemon.restarts == 1
    assert restored(places(tmp_path)(path.name), tmp_path) == [0, 1]


async def test_damaged_local_state_is_made_anew(daemon: LitestreamDaemon, tmp_path: Path) -> None:
    path = make_database(tmp_path / "account.sqlite")
    async with following(daemon, ServiceDatabase(path.name, path), url_of=places(tmp_path)) as all_:
        txid = (await until(all_, is_synced)).txid
        shutil.rmtree(state_directory(path))
        add(path, 1)
        await until(all_, after(txid))
    assert restored(places(tmp_path)(path.name), tmp_path) == [0, 1]


async def test_while_the_replica_is_away_the_lag_grows_and_then_all_of_it_is_sent(
    seaweedfs: SeaweedFs, tmp_path: Path
) -> None:
    path = make_database(tmp_path / "account.sqlite")
    bucket = "services-away"
    environ = s3_environ(seaweedfs)

    def url_of(name: str) -> str:
        return s3_url(seaweedfs, bucket, name)

    config = services_config(retention_days=7)
    async with (
        running(config, environ=environ) as daemon,
        following(daemon, ServiceDatabase(path.name, path), url_of=url_of) as services,
    ):
        failed = await until(services, lambda status: status.lag_s > 1)
        assert failed.trouble is Trouble.REPLICA_REFUSED
        assert "NoSuchBucket" in str(failed.error)
        assert failed.synced_at_s is None
        add(path, 1)
        await seaweedfs.create_bucket(bucket)
        await until(services, is_synced)
    assert restored(url_of(path.name), tmp_path, environ) == [0, 1]


async def test_the_last_writes_are_sent_by_the_final_sync(
    daemon: LitestreamDaemon, tmp_path: Path
) -> None:
    path = make_database(tmp_path / "account.sqlite")
    missing = ServiceDatabase("sequencer.sqlite", tmp_path / "sequencer.sqlite")
    databases = (ServiceDatabase(path.name, path), missing)
    async with following(daemon, *databases, url_of=places(tmp_path)) as services:
        await until(services, is_synced)
        await services.stop()
        add(path, 1)
        sent, unsent = await services.final_sync()
    assert is_synced(sent)
    assert unsent.error is not None
    assert restored(places(tmp_path)(path.name), tmp_path) == [0, 1]
