"""Syncing actors: from the queue into the hot set, through Litestream, to the ledger.

Litestream has only the hot set open. To sync an actor that is not in it, its database is registered
with the daemon; the coldest one is closed for it if the set is full. While a database is open, the
daemon itself looks at it each second, and closing it syncs it once more.
"""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog

from actor_store.errors import InvalidStoreName
from database.errors import DatabaseError
from pds.replication.changes.signature import look_at
from pds.replication.errors import (
    LitestreamFailed,
    ReplicaRefused,
    ReplicationError,
    ReplicaUnavailable,
    Trouble,
)
from pds.replication.syncing.deletions import remove_leftovers
from pds.replication.syncing.dirty_queue import FLUSH_S
from pds.replication.syncing.outage import Outage

if TYPE_CHECKING:
    from actor_store.layout import ActorLayout
    from pds.replication.ledger.rows import DirtyActor
    from pds.replication.syncing.dirty_queue import DirtyQueue
    from pds.replication.syncing.open_actors import OpenActors

_CLOSE_IN_OUTAGE_S: Final = 1.0
_FIRST_RETRY_S: Final = 5.0
_LONGEST_RETRY_S: Final = 600.0
_STEP_S: Final = 1.0
_START_ANEW_AFTER: Final = 3
"""Failures in a row, for reasons unknown, after which Litestream's state of an actor is deleted."""
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
        opened: OpenActors,
        copy_key: Callable[[str], Awaitable[None]],
        on_synced: Callable[[str], object],
        may_write: Callable[[], bool],
        on_outage: Callable[[], None] = lambda: None,
        concurrency: int,
        idle_s: float,
        longest_pause_s: float = 30.0,
    ) -> None:
        """Prepare to sync, `concurrency` actors at a time, while `may_write` returns true.

        `copy_key` is awaited before a database is synced: without its key, it is worth little.
        `on_synced` is called after that, `on_outage` when nothing gets through any more. An actor
        that has not changed for `idle_s` is closed. `longest_pause_s` is that between two tries in
        an outage.
        """
        self._layout = layout
        self._queue = queue
        self._opened = opened
        self._copy_key = copy_key
        self._on_synced = on_synced
        self._may_write = may_write
        self._on_outage = on_outage
        self._concurrency = concurrency
        self._idle_s = idle_s
        self._running: set[asyncio.Task[None]] = set()
        self.outage: Final = Outage(longest_s=longest_pause_s)
        self.syncs = 0
        self.failed_syncs = 0
        self.last_error: str | None = None
        self.last_error_s: float | None = None

    def is_reachable(self) -> bool:
        """Whether the replica takes what is sent."""
        return self._may_write() and not self.outage.is_on

    async def run(self) -> None:
        """Sync what is dirty, until cancelled; syncs under way are cancelled, too."""
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

    async def drain(self) -> None:
        """Return once all that was seen to change is in the replica, and everything is closed.

        Gives up in an outage. For a stop, while `run` still runs and nothing is marked any more.
        Raises `DatabaseError`s.
        """
        await self._queue.after_clock_jump()
        while self.is_reachable():
            await self._flush()
            if not self._running and not self._queue.has_urgent():
                await self._close(list(self._opened.hot))
                return
            await asyncio.sleep(FLUSH_S / 4)

    async def _dispatch(self) -> None:
        while True:
            self._queue.wake.clear()
            try:
                self._start_due()
            except DatabaseError as exc:
                self.note_error(f"the ledger cannot be read: {exc}")
            with suppress(TimeoutError):
                async with asyncio.timeout(self.outage.rest_s(_STEP_S)):
                    await self._queue.wake.wait()

    def _start_due(self) -> None:
        """Begin syncs up to the bound; in an outage one, and only when it is time for a try."""
        if not self._may_write():
            return
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

    async def _flush_often(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            await self._flush()

    async def _flush(self) -> None:
        try:
            await self._queue.flush()
        except DatabaseError as exc:
            self.note_error(f"the ledger cannot be written: {exc}")

    async def _close_idle(self) -> None:
        hot = self._opened.hot
        while True:
            await asyncio.sleep(_STEP_S)
            # In an outage all are closed, because the daemon would try each of them all the time.
            if self.is_reachable():
                await self._close(hot.idle(self._idle_s, limit=hot.size))
            else:
                await self._close(hot.idle(0.0, limit=self._concurrency), _CLOSE_IN_OUTAGE_S)

    async def _close(self, dids: list[str], timeout_s: float | None = None) -> None:
        bound = {} if timeout_s is None else {"timeout_s": timeout_s}
        # One that fails must not cut off the others, which may be in the middle of their last sync.
        ends = await asyncio.gather(
            *(self._opened.close(did, **bound) for did in dids), return_exceptions=True
        )
        for failure in ends:
            if isinstance(failure, DatabaseError):
                self.note_error(f"the ledger cannot be written: {failure}")
            elif failure is not None:
                raise failure

    async def _sync(self, actor: DirtyActor) -> None:
        try:
            await self._sync_files(actor)
        except InvalidStoreName:
            # An event of something that never had a store.
            await self._queue.forget_deleted(actor.did)
        except (ReplicationError, OSError, DatabaseError) as exc:
            await self._fail(actor, exc)
        except Exception as exc:  # noqa: BLE001 (put back, it would be tried again without a pause)
            _log.error("a sync failed unexpectedly", did=actor.did, exc_info=exc)
            await self._fail(actor, exc)
        except BaseException:
            self._queue.put_back(actor.did)
            raise

    async def _sync_files(self, actor: DirtyActor) -> None:
        # Looked at before the sync, which therefore covers at least this.
        store = self._layout.store(actor.did)
        seen = look_at(str(store))
        if seen is None:
            await self._opened.forget(actor.did)
            if await asyncio.to_thread(self._layout.key(actor.did).exists):
                # Deleting an account deletes both, so this one is to be restored from its copy.
                raise FileNotFoundError(errno.ENOENT, "is missing, though its key is there", store)
            await asyncio.to_thread(remove_leftovers, store)
            await self._queue.forget_deleted(actor.did)
            return
        await self._copy_key(actor.did)
        synced = await self._opened.sync(actor.did, seen)
        self.syncs += 1
        if self.outage.succeed():
            _log.info("the replica can be reached again")
        signature = seen.signature if seen.is_certain else None
        self._queue.settle(actor, txid=synced.replicated_txid, signature=signature)
        self._on_synced(actor.did)
        if not actor.is_urgent or self._is_better_closed(actor.did):
            # Nothing says that it is in use, and there may be many like it.
            await self._opened.close(actor.did)

    def _is_better_closed(self, did: str) -> bool:
        """Whether the CPU that an open database costs is needed for others now."""
        open_actor = self._opened.hot.get(did)
        return self._queue.is_behind and open_actor is not None and open_actor.syncs == 1

    async def _fail(self, actor: DirtyActor, exc: Exception) -> None:
        self.failed_syncs += 1
        reason = str(exc) or repr(exc)
        self.note_error(reason)
        general = _is_general(exc) or not self._may_write()
        if self.outage.fail(actor.did, reason, is_general=general):
            _log.error("nothing reaches the replica for now", reason=reason)
            self._on_outage()
        if general or self.outage.is_on:
            # At the end of the queue, so that another one is the next to be tried.
            self._queue.fail(actor, reason, after_s=0)
            return
        failures = actor.failures + 1
        # Not only once: failures of an outage are counted as well.
        if failures % _START_ANEW_AFTER == 0 and _is_unclear(exc):
            await self._opened.start_anew(actor.did)
        after_s = min(_FIRST_RETRY_S * 2 ** min(failures - 1, 10), _LONGEST_RETRY_S)
        if failures == 1:
            _log.warning("an actor cannot be synced", did=actor.did, reason=reason)
        self._queue.fail(actor, reason, after_s=after_s)

    def note_error(self, message: str) -> None:
        """Remember an error for the status."""
        self.last_error, self.last_error_s = message, time.time()


def _is_general(exc: Exception) -> bool:
    if isinstance(exc, LitestreamFailed):
        return exc.trouble in _GENERAL
    return isinstance(exc, ReplicaUnavailable | ReplicaRefused | DatabaseError)


def _is_unclear(exc: Exception) -> bool:
    return isinstance(exc, LitestreamFailed) and exc.trouble is Trouble.OTHER
