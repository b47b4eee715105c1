"""Opening and closing actors' databases with the daemon, and mending what Litestream trips over."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from actor_store.keyed_locks import KeyedLocks
from database.wal import wal_path
from pds.replication.changes.signature import UNCERTAIN_S, look_at
from pds.replication.errors import LitestreamFailed, Trouble
from pds.replication.litestream.client import SYNC_S, patience_s
from pds.replication.litestream.continuity import TO_SEND_ANEW, ensure_continuity
from pds.replication.litestream.local_state import prune
from pds.replication.replica import names

if TYPE_CHECKING:
    from actor_store.layout import ActorLayout
    from pds.replication.changes.signature import FilesSeen
    from pds.replication.litestream.client import LitestreamClient, Synced
    from pds.replication.syncing.dirty_queue import DirtyQueue
    from pds.replication.syncing.hot_set import HotSet

_CLOSE_S: Final = 15.0
_CLOSING: Final = 16
"""How many are closed at a time."""
_SHORT_WAL_BYTES: Final = 256 << 10
"""A WAL that is shorter needs no checkpoint yet; many accounts have one."""
_AGAIN: Final = TO_SEND_ANEW | {Trouble.NOT_REGISTERED}
"""Troubles after which a fresh start works at once."""

_log = structlog.get_logger(__name__)


class OpenActors:
    """The databases that the daemon has open: the hot set, and the requests that change it."""

    def __init__(
        self,
        *,
        layout: ActorLayout,
        hot: HotSet,
        queue: DirtyQueue,
        client: LitestreamClient,
        url_of: Callable[[str], str],
        sync_s: float = SYNC_S,
    ) -> None:
        """`url_of` returns Litestream's URL of a name in the replica.

        `sync_s` is how long the sync of a small database may take.
        """
        self.hot: Final = hot
        self._layout = layout
        self._queue = queue
        self._client = client
        self._url_of = url_of
        self._sync_s = sync_s
        self._to_send_anew: set[str] = set()
        """Those of which Litestream's knowledge is not to be trusted."""
        self._locks = KeyedLocks()
        self._closing = asyncio.Semaphore(_CLOSING)

    async def sync(self, did: str, seen: FilesSeen) -> Synced:
        """Sync an actor whose files are there; it is open afterwards.

        Raises `LitestreamFailed` and `OSError`.
        """
        async with self._locks[did]:
            try:
                return await self._sync(did, seen)
            except LitestreamFailed as exc:
                if exc.trouble not in _AGAIN:
                    raise
            return await self._sync(did, seen)

    async def _sync(self, did: str, seen: FilesSeen) -> Synced:
        store = self._layout.store(did)
        if did not in self.hot:
            await self._make_room()
            if await asyncio.to_thread(_prepare, store, anew=did in self._to_send_anew):
                _log.info("sending all of an actor", did=did)
            self._to_send_anew.discard(did)
            await self._client.register(store, self._url_of(names.actor_database(did)))
            self.hot.add(did, seen.inode)
        with self.hot.using(did) as actor:
            try:
                synced = await self._client.sync(
                    store, timeout_s=patience_s(seen.bytes, small_s=self._sync_s)
                )
            except LitestreamFailed as exc:
                await self._mend(did, store, exc.trouble)
                raise
            if actor is not None:
                actor.synced_ms = self._queue.now_ms
                actor.syncs += 1
            return synced

    async def start_anew(self, did: str) -> None:
        """Close an actor; the next sync sends all of it."""
        async with self._locks[did]:
            await self.discard(did)

    async def discard(self, did: str) -> None:
        """Do as `start_anew` does, within a block of `closed`."""
        await self._unregister(did, self._layout.store(did), _CLOSE_S)
        self._to_send_anew.add(did)

    async def close(self, did: str, *, timeout_s: float = _CLOSE_S) -> None:
        """Close an actor after a last sync. If that fails, the actor is dirty if it has changed.

        Raises `DatabaseError`s of the ledger.
        """
        async with self._locks[did]:
            if did in self.hot:
                await self._close(did, timeout_s)

    @asynccontextmanager
    async def closed(self, did: str) -> AsyncIterator[None]:
        """Keep an actor closed for a while: nobody syncs it within the block."""
        async with self._locks[did]:
            if did in self.hot:
                await self._close(did, _CLOSE_S)
            yield

    async def forget(self, did: str) -> None:
        """Close an actor whose files are gone."""
        async with self._locks[did]:
            self._to_send_anew.discard(did)
            if did in self.hot:
                await self._unregister(did, self._layout.store(did), _CLOSE_S)

    async def lose_all(self) -> None:
        """Note that the daemon has started anew: what was open may have changed since.

        Raises `DatabaseError`s of the ledger.
        """
        lost = self.hot.clear()
        seen = await asyncio.to_thread(lambda: [_look_at(self._layout.store(did)) for did in lost])
        await self._mark_changed(dict(zip(lost, seen, strict=True)))

    async def _mark_changed(self, seen: Mapping[str, FilesSeen | None]) -> None:
        """Mark those of some actors whose files may not be in the replica."""
        now_ms = self._queue.now_ms
        await self._queue.mark(
            {
                did: now_ms
                for did, files in seen.items()
                if files is None or not self._queue.is_synced(did, files.signature)
            }
        )

    async def _make_room(self) -> None:
        while self.hot.is_full and (coldest := self.hot.coldest()) is not None:
            await self.close(coldest)

    async def _close(self, did: str, timeout_s: float) -> None:
        # In use, so that no other sync chooses it as the coldest and then waits for its lock.
        with self.hot.using(did):
            await self._close_used(did, timeout_s)

    async def _close_used(self, did: str, timeout_s: float) -> None:
        store = self._layout.store(did)
        seen = _look_at(store)
        if seen is not None and not seen.is_certain:
            # Litestream itself has just written to it, or somebody else did.
            await asyncio.sleep(UNCERTAIN_S)
            seen = _look_at(store)
        async with self._closing:
            # Closing syncs once more, so all of the files that were seen is in the replica then.
            txid = await self._unregister(did, store, timeout_s)
        if txid is None:
            await self._mark_changed({did: seen})
        elif seen is not None:
            await asyncio.to_thread(_prune, store)
            await self._queue.note_closed(
                did, txid=txid, signature=seen.signature if seen.is_certain else None
            )

    async def _unregister(self, did: str, store: Path, timeout_s: float) -> int | None:
        """Return the txid up to which the replica has everything; None if it may lack some."""
        try:
            txid = await self._client.unregister(store, timeout_s=timeout_s)
        except LitestreamFailed as exc:
            _log.debug("the last sync of an actor failed", did=did, reason=str(exc))
            return None
        else:
            # A daemon that was started anew meanwhile does not know it, and has synced nothing.
            return txid or None
        finally:
            self.hot.remove(did)

    async def _mend(self, did: str, store: Path, trouble: Trouble) -> None:
        """Do what makes the next try succeed, as far as this program can."""
        if trouble is Trouble.NOT_REGISTERED:
            self.hot.remove(did)
        elif trouble in TO_SEND_ANEW:
            await self.discard(did)
        elif trouble in (Trouble.DATABASE_GONE, Trouble.DATABASE_DAMAGED, Trouble.FORBIDDEN):
            await self._unregister(did, store, _CLOSE_S)


def _look_at(store: Path) -> FilesSeen | None:
    try:
        return look_at(str(store))
    except OSError:
        return None


def _prepare(store: Path, *, anew: bool) -> bool:
    """Call this before a store is registered; return whether all of it will be sent.

    Raises what `ensure_continuity` raises.
    """
    sends_all = ensure_continuity(store, anew=anew)
    # Litestream makes a checkpoint at the first sync of a database that had none for a minute, with
    # a transaction and a file of its own: twice the work for each change of an actor that was
    # closed. It goes by the time of the file, which nothing else does while there is a WAL.
    with suppress(OSError):
        if 0 < wal_path(store).stat().st_size < _SHORT_WAL_BYTES:
            os.utime(store)
    return sends_all


def _prune(store: Path) -> None:
    """Delete the local files that are in the replica, but for the newest. May fail."""
    try:
        prune(store, before_txid=1 << 63)
    except OSError as exc:
        _log.warning("uploaded files cannot be deleted", store=str(store), reason=str(exc))
