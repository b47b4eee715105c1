"""Open actor stores: the most recently used ones, as many as there is room for.

A connection is only used within one step of the event loop, and closed only between two steps. So
none is closed in use, though nothing counts its users. One that was opened on a full disk is closed
soon: the next use may find room, and write.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from cachetools import LRUCache

from actor_store.lookups import Lookups
from actor_store.reader import ActorStoreReader
from actor_store.transactor import ActorStoreTransactor
from database.connection import Database
from database.errors import DatabaseError, DatabaseOutOfFiles
from database.open_files import OpenFiles, limit_of_open_files
from database.opening import RoomlessDatabase

DEFAULT_MAX_OPEN: Final = 2_000
"""Actor stores kept open unless the file limit is lower; each takes 200 to 300 KiB of memory."""

FILES_PER_STORE: Final = 3
"""The database, its -wal and its -shm. If a thread had the database open as well, SQLite keeps one
more file open until the last connection is closed."""
_OTHER_FILES: Final = 96
"""Minimum number of files that a server has open besides stores."""
_MIN_OPEN: Final = 4
_MAX_MIN_OPEN: Final = 16
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
        self, open_store: Callable[[str], OpenStore], *, max_open: int, files: OpenFiles
    ) -> None:
        self._open_store = open_store
        self._stores: LRUCache[str, OpenStore] = LRUCache(max_open)
        self.max_open = max_open
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
        return len(self._stores)

    def __contains__(self, did: str) -> bool:
        return did in self._stores

    def get(self, did: str) -> OpenStore:
        """Return the store, which is valid until the caller next awaits.

        Raises what opening raises, and `DatabaseOutOfFiles` while files are still being closed.
        """
        try:
            store = self._stores[did]
        except KeyError:
            pass
        else:
            self.lookups.hits += 1
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
        while len(self._stores) >= self._stores.maxsize:
            self._close_oldest()
        self._stores[did] = store
        return store

    @property
    def wanted_files(self) -> int:
        """See `Keeper.wanted_files`: without a few open stores nobody would be served."""
        return FILES_PER_STORE * max(0, self._min_open - len(self._stores))

    def give_back(self, files: int) -> None:
        """See `Keeper.give_back`."""
        stores = -(-files // FILES_PER_STORE)
        while self._closing < stores and len(self._stores) > self._min_open:
            self._close_oldest()

    def discard(self, did: str) -> None:
        """Close the store, if it is open, at once: its files are damaged, or are about to go."""
        store = self._stores.pop(did, None) or self._roomless.pop(did, None)
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
        while self._stores:
            self._close_oldest()
        self._closer.shutdown(wait=True)

    @property
    def _closing(self) -> int:
        """Stores that have been dropped, and whose files may be open still."""
        return self._asked_to_close - self._closed

    def _close_oldest(self) -> None:
        _, oldest = self._stores.popitem()
        self._asked_to_close += 1
        self._closer.submit(self._close_in_thread, oldest.db)

    def _close_in_thread(self, db: Database) -> None:
        _close(db, db.close_in_thread)
        # No lock is needed: only this single thread counts.
        self._closed += 1


def max_open_stores(wanted: int = DEFAULT_MAX_OPEN) -> int:
    """Return how many of the `wanted` stores the limit of open files allows.

    It allows fewer while much else is open, such as connections.
    """
    return min(wanted, max(_MIN_OPEN, (limit_of_open_files() - _OTHER_FILES) // FILES_PER_STORE))


def _close(db: Database, close: Callable[[], None]) -> None:
    try:
        close()
    except DatabaseError as exc:
        # Nothing is lost: committed data is in the WAL, and is read back from there.
        logger.warning("closing %s failed: %s", db.path, exc)
