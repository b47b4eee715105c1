"""Open actor stores: the most recently used ones, as many as there is room for.

An open store is new until it is used again, then active, and idle when many others have been used
since. An idle one has given back its cached pages and prepared statements: it takes a third of the
memory, and its next use some 40 µs more. So neither a crawler that reads every account once nor the
number of accounts that are open decides how much memory is taken, but how many are in use.

A connection is only used within one step of the event loop, and closed only between two steps. So
none is closed in use, though nothing counts its users. One that was opened on a full disk is closed
soon: the next use may find room, and write.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from actor_store.lookups import Lookups
from actor_store.reader import ActorStoreReader
from actor_store.transactor import ActorStoreTransactor
from database.connection import Database
from database.errors import DatabaseError, DatabaseOutOfFiles
from database.memory import memory_bytes
from database.open_files import OpenFiles, limit_of_open_files
from database.opening import RoomlessDatabase

DEFAULT_MAX_OPEN: Final = 2_000
"""Actor stores kept open unless there are too few files or too little memory."""
MEMORY_PER_STORE: Final = 512 * 1024
"""Bytes of memory that the machine must have for each open store. An idle one takes 40 KiB, an
active one 150 to 300, and a quarter is active: together less than a fifth of the machine's."""

FILES_PER_STORE: Final = 3
"""The database, its -wal and its -shm. If a thread had the database open as well, SQLite keeps one
more file open until the last connection is closed."""
_OTHER_FILES: Final = 96
"""Minimum number of files that a server has open besides stores."""
_MIN_OPEN: Final = 4
_MAX_MIN_OPEN: Final = 16
MAX_NEW: Final = 64
"""So that the requests that usually follow upon a first one find the store as that left it."""
_MAX_ACTIVE: Final = 2_048
_ACTIVE_SHARE: Final = 4
_MAX_ROOMLESS: Final = 16
"""More than can be in use in one step of the event loop."""

logger = logging.getLogger(__name__)


@dataclass(slots=True, frozen=True)
class OpenStore:
    """An open actor store."""

    db: Database
    transactor: ActorStoreTransactor

    @property
    def reader(self) -> ActorStoreReader:
        """The same object, for callers that only read: they share what it has cached."""
        return self.transactor


class OpenStores:
    """Open stores by DID, for the event loop only. They give way when open files become scarce."""

    def __init__(
        self,
        open_store: Callable[[str], OpenStore],
        *,
        max_open: int,
        files: OpenFiles,
        max_new: int = MAX_NEW,
    ) -> None:
        self._open_store = open_store
        self.max_open = max_open
        # Each in the order of use. What comes out of the first two becomes idle.
        self._new: OrderedDict[str, OpenStore] = OrderedDict()
        self._active: OrderedDict[str, OpenStore] = OrderedDict()
        self._idle: OrderedDict[str, OpenStore] = OrderedDict()
        self._max_new = max_new
        self._max_active = max(_MIN_OPEN, min(_MAX_ACTIVE, max_open // _ACTIVE_SHARE))
        self._min_open = min(max_open, _MAX_MIN_OPEN, max(_MIN_OPEN, files.limit // 64))
        self.lookups = Lookups()
        self._files = files
        files.keep_with(self)
        # Closing may checkpoint the WAL and wait for the disk, so it runs off the event loop.
        self._closer = ThreadPoolExecutor(1, thread_name_prefix="actor-store-close")
        self._asked_to_close = 0
        self._closed = 0
        self._roomless: dict[str, OpenStore] = {}
        """Stores that only read, in the order in which they were opened."""

    def __len__(self) -> int:
        return len(self._active) + len(self._idle) + len(self._new)

    def __contains__(self, did: str) -> bool:
        return did in self._active or did in self._idle or did in self._new

    def get(self, did: str) -> OpenStore:
        """Return the store, which is valid until the caller next awaits.

        Raises what opening raises, and `DatabaseOutOfFiles` while files are still being closed.
        """
        store = self._active.get(did)
        if store is not None:
            self._active.move_to_end(did)
            self.lookups.hits += 1
            return store
        store = self._idle.pop(did, None) or self._new.pop(did, None)
        if store is not None:
            self.lookups.hits += 1
            self._keep(self._active, self._max_active, did, store)
            return store
        self.lookups.misses += 1
        if not self._files.has_room(FILES_PER_STORE, for_keeper=True):
            raise DatabaseOutOfFiles(did, f"{self._files.limit} files may be open, and are")
        if self._roomless:
            self.close_roomless(did)
        store = self._open_store(did)
        self._files.note_opened(FILES_PER_STORE)
        if isinstance(store.db, RoomlessDatabase):
            self._roomless[did] = store
            return store
        while len(self) >= self.max_open:
            self._close_oldest()
        self._keep(self._new, self._max_new, did, store)
        return store

    @property
    def wanted_files(self) -> int:
        """See `Keeper.wanted_files`: without a few open stores nobody would be served."""
        return FILES_PER_STORE * max(0, self._min_open - len(self))

    def give_back(self, files: int) -> None:
        """See `Keeper.give_back`."""
        stores = -(-files // FILES_PER_STORE)
        while self._closing < stores and len(self) > self._min_open:
            self._close_oldest()

    def discard(self, did: str) -> None:
        """Close the store, if it is open, at once: its files are damaged, or are about to go."""
        for stores in (self._active, self._idle, self._new, self._roomless):
            store = stores.pop(did, None)
            if store is not None:
                _close(store.db, store.db.close_at_once)

    def close_roomless(self, did: str) -> None:
        """Close the store of `did` if it only reads, or else the oldest of many such stores.

        To be called before another connection opens the file to write.
        """
        roomless = self._roomless.pop(did, None)
        if roomless is None and len(self._roomless) >= _MAX_ROOMLESS:
            roomless = self._roomless.pop(next(iter(self._roomless)))
        if roomless is not None:
            _close(roomless.db, roomless.db.close_at_once)

    def close(self) -> None:
        """Close all stores and wait for it: to be called in a thread."""
        for did in [*self._roomless]:
            self.discard(did)
        while len(self):
            self._close_oldest()
        self._closer.shutdown(wait=True)

    @property
    def _closing(self) -> int:
        """Stores that have been dropped, and whose files may be open still."""
        return self._asked_to_close - self._closed

    def _keep(
        self, stores: OrderedDict[str, OpenStore], most: int, did: str, store: OpenStore
    ) -> None:
        """Add the store to the new or active ones. The oldest of too many becomes idle."""
        stores[did] = store
        if len(stores) > most:
            did, store = stores.popitem(last=False)
            try:
                store.db.release_memory()
            except DatabaseError as exc:
                # It must not fail the request for another actor; the next use will tell.
                logger.warning("releasing memory of %s failed: %s", store.db.path, exc)
            self._idle[did] = store

    def _close_oldest(self) -> None:
        _, oldest = (self._idle or self._new or self._active).popitem(last=False)
        self._asked_to_close += 1
        self._closer.submit(self._close_in_thread, oldest.db)

    def _close_in_thread(self, db: Database) -> None:
        _close(db, db.close_in_thread)
        # No lock is needed: only this single thread counts.
        self._closed += 1


def max_open_stores(wanted: int = DEFAULT_MAX_OPEN, *, processes: int = 1) -> int:
    """Return how many of the `wanted` stores each of some `processes` may keep open."""
    return min(wanted, open_stores_by_files(), open_stores_by_memory(processes=processes))


def open_stores_by_files() -> int:
    """Return how many stores the limit of open files allows.

    It allows fewer while much else is open, such as connections.
    """
    return max(_MIN_OPEN, (limit_of_open_files() - _OTHER_FILES) // FILES_PER_STORE)


def open_stores_by_memory(memory: int | None = None, *, processes: int = 1) -> int:
    """Return how many stores each of the `processes` that share the memory may keep open.

    `memory` is in bytes; by default, it is what there is.
    """
    memory = memory_bytes() if memory is None else memory
    return max(_MIN_OPEN, memory // MEMORY_PER_STORE // processes)


def _close(db: Database, close: Callable[[], None]) -> None:
    try:
        close()
    except DatabaseError as exc:
        # Nothing is lost: committed data is in the WAL, and is read back from there.
        logger.warning("closing %s failed: %s", db.path, exc)
