"""Real Litestream daemons and databases for tests."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

from pds.replication.litestream.client import LitestreamClient
from pds.replication.litestream.config import DaemonConfig, actors_config
from pds.replication.litestream.daemon import LitestreamDaemon, Patience
from pds.replication.litestream.program import find_program
from tests.pds.replication.real_litestream import restore_file
from tests.seaweedfs import SeaweedFs

QUICK = Patience(check_s=0.05, answer_s=0.5, backoff_s=0.01)
"""For daemons that are made to fail."""


@asynccontextmanager
async def running(
    config: DaemonConfig | None = None,
    *,
    patience: Patience | None = None,
    environ: Mapping[str, str] | None = None,
) -> AsyncIterator[LitestreamDaemon]:
    """A daemon with no database."""
    daemon = LitestreamDaemon(
        config or actors_config(), program=find_program(), environ=environ, patience=patience
    )
    await daemon.start()
    try:
        yield daemon
    finally:
        await daemon.stop()


def is_running(pid: int) -> bool:
    """Whether there is such a process, and it is no zombie."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


async def asked(client: LitestreamClient, name: str) -> dict[str, Any]:
    """What a daemon answers to a question."""
    return await client._ask("GET", name, None, 10.0)


async def registered(client: LitestreamClient) -> list[Path]:
    """The databases that a daemon has registered."""
    return _paths_in(await asked(client, "list"))


def _paths_in(answer: dict[str, Any]) -> list[Path]:
    # Some are registered by the name of a link.
    return [Path(one["path"]).resolve() for one in answer.get("databases") or ()]


def make_database(path: Path, rows: int = 1) -> Path:
    """Make a small database in WAL mode with the numbers below `rows`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE number (value INTEGER)")
        db.executemany("INSERT INTO number VALUES (?)", [(number,) for number in range(rows)])
        db.commit()
    return path


def add(path: Path, number: int) -> None:
    """Write a number into a database, and leave its WAL alone."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_autocheckpoint=0")
        db.execute("INSERT INTO number VALUES (?)", (number,))
        db.commit()


async def replicate_once(daemon: LitestreamDaemon, path: Path, url: str) -> None:
    """Write to a database, new or not, and have it replicated to `url` once."""
    _write_once(path)
    await daemon.client.register(path, url)
    await daemon.client.sync(path)
    await daemon.client.unregister(path)


def _write_once(path: Path) -> None:
    if path.exists():
        add(path, 1)
    else:
        make_database(path)


def numbers(path: Path) -> list[int]:
    """The numbers in a database."""
    with closing(sqlite3.connect(path)) as db:
        return [value for (value,) in db.execute("SELECT value FROM number ORDER BY value")]


def restored(url: str, directory: Path, environ: Mapping[str, str] | None = None) -> list[int]:
    """The numbers in what Litestream restores from a replica."""
    path = directory / "restored.sqlite"
    restore_file(url, path, "-integrity-check", "full", environ=environ)
    return numbers(path)


def s3_url(server: SeaweedFs, bucket: str, name: str) -> str:
    """The place of a database in a bucket."""
    return f"s3://{bucket}/{name}?endpoint={server.url}&region=us-east-1&force-path-style=true"


def s3_environ(server: SeaweedFs) -> dict[str, str]:
    """An environment with the credentials of a server."""
    return {**os.environ, **server.credentials}
