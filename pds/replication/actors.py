"""Syncing actors: from the queue into the hot set, through Litestream, to the ledger.

Litestream has only the hot set open. To sync an actor that is not in it, its database is registered
with the daemon; the coldest one is closed for it if the set is full. While a database is open, the
daemon itself looks at it each second, and closing it syncs it once more.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from actor_store.errors import InvalidStoreName
from database.errors import DatabaseError
from pds.replication.changes.signature import FilesSeen, look_at
from pds.replication.dirty_queue import FLUSH_S, DirtyQueue
from pds.replication.errors import LitestreamFailed, ReplicationError, Trouble
from pds.replication.hot_set import HotSet
from pds.replication.litestream.local_state import prune, reset, state_directory
from pds.replication.outage import Outage
from pds.replication.replica import names

if TYPE_CHECKING:
    from actor_store.layout import ActorLayout
    from pds.replication.ledger.actor_rows import DirtyActor
    from pds.replication.litestream.client import LitestreamClient, Synced

_SYNC_S: Final = 60.0
_BYTES_A_S: Final = 256 << 10
"""How slowly a large database may reach the replica before that counts as a failure."""
_CLOSE_S: Final = 15.0
_CLOSE_IN_OUTAGE_S: Final = 1.0
_APART_S: Final = 1.0
"""The time between two syncs of an actor that is open: Litestream's own interval."""
_FIRST_RETRY_S: Final = 5.0
_LONGEST_RETRY_S: Final = 600.0
_IDLE_STEP_S: Final = 1.0
_GENERAL: Final = frozenset(
    {
        Trouble.REPLICA_UNAVAILABLE,
        Trouble.REPLICA_REFUSED,
        Trouble.REPLICA_FULL,
        Trouble.DAEMON_AWAY,
        Trouble.DISK_FULL,
    }
)
"""Troubles that are not the actor's."""

_log = structlog.get_logger(__name__)


class Actors:
    """Keeps the replica of all actors up to date, some of them at a time."""

    def __init__(
        self,
        *,
        layout: ActorLayout,
        queue: DirtyQueue,
        hot: HotSet,
        client: LitestreamClient,
        url_of: Callable[[str], str],
        copy_key: Callable[[str], Awaitable[None]],
        concurrency: int,
        idle_s: float,
    ) -> None:
        """Prepare to sync. `url_of` returns Litestream's URL of a name in the replica.

        `copy_key` is awaited before a database is synced: without its key, it is worth little.
        """
        self._layout = layout
        self._queue = queue
        self._hot = hot
        self._client = client
        self._url_of = url_of
        self._copy_key = copy_key
        self._concurrency = concurrency
        self._idle_s = idle_s
        self._running: set[asyncio.Task[None]] = set()
        self._closing = asyncio.Semaphore(concurrency)
        self.outage: Final = Outage()
        self.syncs = 0
        self.failed_syncs = 0
        self.last_error: str | None = None
        self.last_error_s: float | None = None

    # What runs until it is cancelled

    async def run(self) -> None:
        """Sync what is dirty, until cancelled. Syncs under way are cancelled with it."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._dispatch())
                tasks.create_task(self._flush_often())
                tasks.create_task(self._close_idle())
        finally:
            running = tuple(self._running)
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _dispatch(self) -> None:
        while True:
            self._queue.wake.clear()
            try:
                self._start_due()
            except DatabaseError as exc:
                self._note_error(f"the ledger cannot be read: {exc}")
            wait_s = _IDLE_STEP_S
            if self.outage.is_on:
                wait_s = min(wait_s, max(0.01, self.outage.next_in_s))
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._queue.wake.wait()

    def _start_due(self) -> None:
        """Begin syncs up to the bound; in an outage one, and only when it is time for a try."""
        while len(self._running) < self._concurrency:
            if self.outage.is_on and (self._running or not self.outage.may_try):
                return
            actor = self._queue.take()
            if actor is None:
                return
            task = asyncio.create_task(self._sync(actor))
            self._running.add(task)
            task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._queue.wake.set()
        if not task.cancelled() and (exc := task.exception()) is not None:
            self._note_error(f"a sync failed unexpectedly: {exc!r}")
            _log.error("a sync failed unexpectedly", exc_info=exc)

    async def _flush_often(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            try:
                await self._queue.flush()
            except DatabaseError as exc:
                self._note_error(f"the ledger cannot be written: {exc}")

    async def _close_idle(self) -> None:
        while True:
            await asyncio.sleep(_IDLE_STEP_S)
            # In an outage all are closed: the daemon would try each of them again and again.
            idle_s = 0.0 if self.outage.is_on else self._idle_s
            idle = self._hot.idle(idle_s, limit=len(self._hot))
            if idle:
                await asyncio.gather(*(self.close(did) for did in idle))

    # One actor

    async def _sync(self, actor: DirtyActor) -> None:
        try:
            await self._sync_files(actor)
        except (ReplicationError, OSError, DatabaseError, InvalidStoreName) as exc:
            self._fail(actor, exc)
        except BaseException:
            self._queue.put_back(actor.did)
            raise

    async def _sync_files(self, actor: DirtyActor) -> None:
        did, store = actor.did, self._layout.store(actor.did)
        # Looked at before the sync, which therefore covers at least this.
        seen = look_at(str(store))
        if seen is None:
            await self._let_go(did)
            return
        await self._copy_key(did)
        synced = await self._sync_open(did, store, seen)
        self._succeed(actor, synced, seen)

    async def _sync_open(self, did: str, store: Path, seen: FilesSeen) -> Synced:
        """Register an actor if need be, and sync it."""
        with suppress(LitestreamFailed):
            return await self._sync_once(did, store, seen)
        # Whatever it was about, a second try with a fresh registration mends most of it at once.
        return await self._sync_once(did, store, seen)

    async def _sync_once(self, did: str, store: Path, seen: FilesSeen) -> Synced:
        if did not in self._hot:
            await self._make_room()
            await self._client.register(store, self._url_of(names.actor_database(did)))
            self._hot.add(did, seen.inode)
        with self._hot.using(did):
            try:
                return await self._client.sync(store, timeout_s=_sync_s(store))
            except LitestreamFailed as exc:
                await self._mend(did, store, exc.trouble)
                raise

    async def _make_room(self) -> None:
        while self._hot.is_full and (coldest := self._hot.coldest()) is not None:
            await self.close(coldest)
