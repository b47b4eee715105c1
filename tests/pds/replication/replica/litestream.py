"""A real Litestream daemon for tests, controlled through its socket."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

_PROGRAM = Path(sys.executable).with_name("litestream")
_READY_S = 15.0


@dataclass
class Litestream:
    """A daemon without databases, until some are registered."""

    directory: Path
    session: aiohttp.ClientSession

    async def replicate(self, url: str) -> Path:
        """Make a database and have it replicated to `url` once; return its path."""
        path = self.directory / "store.sqlite"
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode = wal")
            connection.execute("CREATE TABLE IF NOT EXISTS t (x)")
            connection.execute("INSERT INTO t VALUES (1)")
            connection.commit()
        assert (await self.post("register", path=str(path), replica_url=url))["status"] == (
            "registered"
        )
        try:
            synced = await self.post("sync", path=str(path), wait=True, timeout=20)
            assert synced["replicated_txid"] >= 1
        finally:
            await self.post("unregister", path=str(path), timeout=20)
        return path

    async def post(self, action: str, **body: Any) -> dict[str, Any]:
        """Make a request that is to succeed."""
        async with self.session.post(f"http://litestream/{action}", json=body) as answer:
            result: dict[str, Any] = await answer.json()
            assert answer.status == 200, result
            return result


@asynccontextmanager
async def running_litestream(
    directory: Path, environ: Mapping[str, str]
) -> AsyncIterator[Litestream]:
    """A daemon with these credentials, for a `with` block."""
    await asyncio.to_thread(directory.mkdir)
    socket, config = directory / "socket", directory / "litestream.yml"
    config.write_text(f"socket:\n  enabled: true\n  path: {socket}\ndbs: []\n")
    with (directory / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(str(_PROGRAM), "replicate", "-config", str(config)),
            env={"PATH": os.environ["PATH"], "HOME": str(directory), **environ},
            stdout=log,
            stderr=log,
        )
    try:
        await asyncio.to_thread(_wait_for, socket)
        connector = aiohttp.UnixConnector(str(socket))
        async with aiohttp.ClientSession(connector=connector) as session:
            yield Litestream(directory, session)
    finally:
        process.send_signal(signal.SIGKILL)
        await process.wait()


def _wait_for(socket: Path) -> None:
    deadline = time.monotonic() + _READY_S
    while not socket.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
