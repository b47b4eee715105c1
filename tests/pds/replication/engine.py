"""What keeps actors replicated, with a real Litestream daemon, for tests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pds.replication.changes.watcher import Watcher
from pds.replication.ledger.ledger import Ledger
from pds.replication.litestream.config import actors_config
from pds.replication.litestream.daemon import LitestreamDaemon, Patience
from pds.replication.litestream.program import find_program
from pds.replication.replica import names
from pds.replication.syncing.actors import Actors
from pds.replication.syncing.dirty_queue import DirtyQueue
from pds.replication.syncing.hot_set import HotSet
from pds.replication.syncing.open_actors import OpenActors
from tests.pds.replication.ledger.rows import ActorRow, row_of
from tests.pds.replication.real_litestream import restore_file
from tests.pds.replication.small_server import SmallServer, values_in

QUICK = Patience(check_s=0.05, answer_s=2.0, backoff_s=0.01)


@dataclass
class Engine:
    """All that syncs the actors of a server to a directory."""

    server: SmallServer
    replica: Path
    daemon: LitestreamDaemon
    ledger: Ledger
    queue: DirtyQueue
    hot: HotSet
    opened: OpenActors
    actors: Actors
    watcher: Watcher
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self) -> None:
        self.tasks.append(asyncio.create_task(self.actors.run()))
        self.tasks.append(asyncio.create_task(self.watcher.follow()))

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.tasks.clear()

    def row(self, did: str) -> ActorRow:
        return row_of(self.ledger, did)

    async def until(self, holds: Callable[[], bool], *, within_s: float = 20.0) -> None:
        """Wait until something is so."""
        deadline = time.monotonic() + within_s
        while not holds():
            assert time.monotonic() < deadline, "it does not become so in time"
            await asyncio.sleep(0.02)

    async def until_clean(self) -> None:
        """Wait until nothing is dirty."""
        await self.until(lambda: self.ledger.actors.counts().dirty == 0)

    def values(self, did: str) -> list[str]:
        """What a restore finds in an actor's store."""
        url = f"file://{self.replica}/{names.actor_database(did)}"
        return values_in(restore_file(url, self.replica.parent / "restored.sqlite"))


@asynccontextmanager
async def engine(
    server: SmallServer,
    *,
    hot_set: int = 10,
    idle_s: float = 60.0,
    concurrency: int = 4,
    replica: Path | None = None,
    copy_key: Callable[[str], Awaitable[None]] | None = None,
) -> AsyncIterator[Engine]:
    """An engine that has not started yet, with a daemon that has."""
    replica = replica or server.directory.parent / "replica"
    daemon = LitestreamDaemon(actors_config(), program=find_program(), patience=QUICK)
    ledger = Ledger.open(server.directory / "replication.sqlite")
    hot = HotSet(hot_set, clock=time.monotonic)

    async def no_key(_: str) -> None:
        return None

    queue = DirtyQueue(ledger, earliest_ms=hot.earliest_ms)
    opened = OpenActors(
        layout=server.layout,
        hot=hot,
        queue=queue,
        client=daemon.client,
        url_of=lambda name: f"file://{replica}/{name}",
    )
    actors = Actors(
        layout=server.layout,
        queue=queue,
        opened=opened,
        copy_key=copy_key or no_key,
        on_synced=lambda _: None,
        may_write=lambda: True,
        concurrency=concurrency,
        idle_s=idle_s,
    )
    watcher = Watcher(
        log=server.log,
        actors_directory=server.layout.actors_dir,
        ledger=ledger,
        queue=queue,
        hot=hot,
        poll_s=0.02,
        sweep_interval_s=0.0,
    )
    daemon.on_restart = opened.lose_all
    await daemon.start()
    made = Engine(server, replica, daemon, ledger, queue, hot, opened, actors, watcher)
    try:
        yield made
    finally:
        await made.stop()
        await daemon.stop()
        ledger.close()
