"""Open actor stores: the most recently used connections, as many as fit.

A connection is only used within one step of the event loop, and is only closed between uses. So no
connection is closed in use, although users are not counted. Connections opened on a full disk are
closed soon: the next one may find room, and can write.
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
from database.connection import Database, RoomlessDatabase
from database.errors import DatabaseError, DatabaseOutOfFiles
from database.open_files import OpenFiles, limit_of_open_files

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
class Handle:
    """An open actor store."""

    db: Database
    transactor: ActorStoreTransactor

    @property
    def reader(self) -> ActorStoreReader:
        """A read-only view that shares the transactor's caches."""
        return self.transactor


class OpenStores:
    """Handles by DID, for the event loop only. They are closed when open files become scarce."""

    def __init__(
        self, open_handle: Callable[[str], Handle], *, max_open: int, files: OpenFiles
    ) -> None:
        self._open_handle = open_handle
        self._handles: LRUCache[str, Handle] = LRUCache(max_open)
        self.max_open = max_open
        self._min_open = min(max_open, _MAX_MIN_OPEN, max(_MIN_OPEN, files.limit // 64))
        self.lookups = Lookups()
        self._files = files
        files.keep_with(self)
        # Closing may checkpoint the WAL and wait for the disk, so it runs off the event loop.
        self._closer = ThreadPoolExecutor(1, thread_name_prefix="actor-store-close")
        self._asked_to_close = 0
        self._closed = 0
        self._roomless: dict[str, Handle] = {}
        """Handles that can only read, in the order they were opened."""

    def __len__(self) -> int:
        return len(self._handles)

    def __contains__(self, did: str) -> bool:
        return did in self._handles

    def get(self, did: str) -> Handle:
        """Return the handle, valid until the caller's next await.

        Raises what opening raises, and `DatabaseOutOfFiles` while files are still being closed.
        """
        try:
            handle = self._handles[did]
        except KeyError:
            pass
        else:
            self.lookups.hits += 1
            return handle
        self.lookups.misses += 1
        if not self._files.has_room(FILES_PER_STORE, for_keeper=True):
            raise DatabaseOutOfFiles(did, f"{self._files.limit} files may be open, and are")
        if self._roomless:
            self.close_roomless(did)
        handle = self._open_handle(did)
        self._files.note_opened(FILES_PER_STORE)
        if isinstance(handle.db, RoomlessDatabase):
            self._roomless[did] = handle
            return handle
        while len(self._handles) >= self._handles.maxsize:
            self._close_oldest()
        self._handles[did] = handle
        return handle

    @property
    def wanted_files(self) -> int:
        """See `Keeper.wanted_files`: no request can be served without a few open stores."""
        return FILES_PER_STORE * max(0, self._min_open - len(self._handles))

    def give_back(self, files: int) -> None:
        """See `Keeper.give_back`."""
        stores = -(-files // FILES_PER_STORE)
        while self._closing < stores and len(self._handles) > self._min_open:
            self._close_oldest()

    def discard(self, did: str) -> None:
        """Close the handle at once, if open: its files are damaged or about to be deleted."""
        handle = self._handles.pop(did, None) or self._roomless.pop(did, None)
        if handle is not None:
            _close(handle.db, handle.db.close_at_once)

    def close_roomless(self, did: str) -> None:
        """Close the handle of `did` if it is read-only, and the oldest such one if there are many.

        Call this before another connection opens the file for writing.
        """
        roomless = self._roomless.pop(did, None)
        if roomless is None and len(self._roomless) >= _MAX_ROOMLESS:
            roomless = self._roomless.pop(next(iter(self._roomless)))
        if roomless is not None:
            _close(roomless.db, roomless.db.close_at_once)

    def close(self) -> None:
        """Close all handles and wait until they are closed; call it in a thread."""
        for did in [*self._roomless]:
            self.discard(did)
        while self._handles:
            self._close_oldest()
        self._closer.shutdown(wait=True)

    @property
    def _closing(self) -> int:
        """The number of dropped handles whose files may still be open."""
        return self._asked_to_close - self._closed

    def _close_oldest(self) -> None:
        _, oldest = self._handles.popitem()
        self._asked_to_close += 1
        self._closer.submit(self._close_in_thread, oldest.db)

    def _close_in_thread(self, db: Database) -> None:
        _close(db, db.close_in_thread)
        # No lock is needed: only this single thread counts.
        self._closed += 1


def max_open_stores(wanted: int = DEFAULT_MAX_OPEN) -> int:
    """Return how many of the `wanted` stores may be open at most under the limit of open files.

    Fewer are open while there are many other open files, such as connections.
    """
    return min(wanted, max(_MIN_OPEN, (limit_of_open_files() - _OTHER_FILES) // FILES_PER_STORE))


def _close(db: Database, close: Callable[[], None]) -> None:
    try:
        close()
    except DatabaseError as exc:
        # Nothing is lost: committed data is in the WAL, and is read back from there.
        logger.warning("closing %s: %s", db.path, exc)
