"""A supervisor that runs in the process of the test."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from pds.replication.options import ReplicationOptions, SealingOptions
from pds.replication.replica import names
from pds.replication.replica.lease import LeaseTimes
from pds.replication.replica.url import ReplicaUrl
from pds.replication.status import ReplicationStatus, read_status
from pds.replication.supervising.supervisor import run_supervisor
from tests.pds.replication.real_litestream import restore_file
from tests.pds.replication.small_server import SmallServer, values_in


def options_of(server: SmallServer, replica: Path | str) -> ReplicationOptions:
    """Options to replicate a server to a directory, or to a URL."""
    data = server.directory
    if isinstance(replica, Path):
        replica.mkdir(exist_ok=True)
        replica = f"file://{replica}"
    return ReplicationOptions(
        replica=ReplicaUrl.parse(replica),
        service_did="did:web:pds.example",
        data_directory=data,
        account_db=data / "account.sqlite",
        sequencer_db=server.log,
        did_cache_db=data / "did_cache.sqlite",
        hold_db=data / "hold.sqlite",
        actors_directory=server.layout.actors_dir,
        blob_directory=data / "blobs",
        sealing=SealingOptions(in_clear=True),
        hot_set=10,
        poll_s=0.02,
        services_every_s=0.1,
        sweep_interval_s=0.5,
        longest_pause_s=1.0,
        status_every_s=0.1,
        lease=LeaseTimes(renew_s=0.5, retry_s=0.2, settle_s=0.05),
    )


class Running:
    """A supervisor that runs."""

    def __init__(self, options: ReplicationOptions) -> None:
        self.options = options
        self.stop = asyncio.Event()
        self.task = asyncio.create_task(run_supervisor(options, self.stop))

    def status(self) -> ReplicationStatus | None:
        return read_status(self.options.status_file)

    async def until(self, holds: Callable[[ReplicationStatus], bool]) -> ReplicationStatus:
        """Wait for a status."""
        deadline = time.monotonic() + 30.0
        while True:
            if self.task.done():
                self.task.result()
            status = self.status()
            if status is not None and holds(status):
                return status
            assert time.monotonic() < deadline, status
            await asyncio.sleep(0.02)

    async def end(self) -> None:
        self.stop.set()
        await self.task

    def values(self, did: str) -> list[str]:
        """What a restore by Litestream finds in an actor's store."""
        url = self.options.replica.for_litestream(names.actor_database(did))
        return values_in(restore_file(url, self.options.data_directory.parent / "restored.sqlite"))


@asynccontextmanager
async def running(options: ReplicationOptions) -> AsyncIterator[Running]:
    made = Running(options)
    try:
        yield made
    finally:
        made.task.cancel()
        await asyncio.gather(made.task, return_exceptions=True)


def all_synced(status: ReplicationStatus) -> bool:
    return status.state == "running" and status.actors.known == 30 and not status.actors.dirty
