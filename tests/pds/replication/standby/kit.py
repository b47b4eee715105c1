"""A small server, its real replication, and a standby in the same process."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

from pds.replication.replica.file_place import FilePlace
from pds.replication.replica.manifest import read_manifest
from pds.replication.replica.names import actor_database
from pds.replication.replica.place import ReplicaPlace
from pds.replication.restore.target import RestoreTarget
from pds.replication.standby.directory import holding_standby, settle
from pds.replication.standby.following import Standby
from pds.replication.standby.state import StandbyState
from pds.replication.standby.status import StandbyStatus
from tests.pds.replication.small_server import SmallServer, values_in

WITHIN_S = 30.0


def make_server(directory: Path, accounts: int) -> SmallServer:
    """A small server whose `account.sqlite` lists its accounts."""
    server = SmallServer.make(directory, accounts)
    with closing(sqlite3.connect(directory / "account.sqlite")) as db, db:
        db.execute("CREATE TABLE actor (did TEXT PRIMARY KEY)")
        db.executemany("INSERT INTO actor VALUES (?)", [(did,) for did in server.dids])
    return server


def delete_account(server: SmallServer, did: str) -> None:
    """Delete an account wholly."""
    server.delete(did)
    with closing(sqlite3.connect(server.directory / "account.sqlite")) as db, db:
        db.execute("DELETE FROM actor WHERE did = ?", (did,))


def written_to(server: SmallServer, did: str) -> list[str]:
    """What `SmallServer.write` wrote."""
    return [json.loads(value) for value in values_in(server.layout.store(did))]


@dataclass
class Follower:
    """A standby that follows."""

    standby: Standby
    state: StandbyState
    target: RestoreTarget
    task: asyncio.Task[None]
    scratch: Path

    def values(self, did: str) -> list[str] | None:
        """What `SmallServer.write` wrote, as the standby has it: read from a copy of the file."""
        try:
            shutil.copy(self.target.layout.store(did), self.scratch)
        except FileNotFoundError:
            return None
        return [json.loads(value) for value in values_in(self.scratch)]

    def txid(self, did: str) -> int:
        """The transaction that the standby is at."""
        known = self.state.find(actor_database(did))
        return 0 if known is None else known.txid

    async def until(self, holds: Callable[[], bool], *, within_s: float = WITHIN_S) -> None:
        """Wait until something holds."""
        deadline = time.monotonic() + within_s
        while not holds():
            if self.task.done():
                self.task.result()
            assert time.monotonic() < deadline, self.standby.status()
            await asyncio.sleep(0.02)

    async def until_status(self, holds: Callable[[StandbyStatus], bool]) -> None:
        """Wait for a status."""
        await self.until(lambda: holds(self.standby.status()))

    async def until_same(self, server: SmallServer) -> None:
        """Wait until every account has here what the server has, and that is noted."""
        await self.until(
            lambda: all(
                self.values(did) == written_to(server, did) and self.txid(did)
                for did in server.dids
            )
        )


@asynccontextmanager
async def following(
    replica: Path, directory: Path, *, place: ReplicaPlace | None = None
) -> AsyncIterator[Follower]:
    """Follow a replica in a directory within a block."""
    place = place or FilePlace(replica)
    target = RestoreTarget.within(directory)
    with holding_standby(target) as state:
        manifest = await read_manifest(place)
        assert manifest is not None
        source = f"file://{replica}"
        settle(state, directory, source=source, service_did=manifest.service_did)
        standby = Standby(place, target, state, opener=None, poll_s=0.05)
        task = asyncio.create_task(standby.follow(asyncio.Event()))
        try:
            yield Follower(standby, state, target, task, directory.parent / "copy.sqlite")
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            standby.close()
