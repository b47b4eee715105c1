"""Open actor stores: as many connections as the process may have, the last used ones.

A connection is only ever used within one step of the event loop, and one is closed only when
another is asked for. So none is closed in use, though nothing counts its users.
"""

from __future__ import annotations

import logging
import resource
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from cachetools import LRUCache

from actor_store.lookups import Lookups
from actor_store.reader import ActorStoreReader
from actor_store.transactor import ActorStoreTransactor
from database.connection import Database
from database.errors import DatabaseError

DEFAULT_MAX_OPEN: Final = 2_000
"""Actor stores kept open unless the file limit is lower; one takes 200 to 300 KiB of memory."""

_FILES_PER_STORE: Final = 3
"""The database, its -wal and its -shm."""
_RESERVED_FILES: Final = 256
"""Files left for sockets, blobs, service databases and threads with connections of their own."""
_MIN_OPEN: Final = 16

logger = logging.getLogger(__name__)


@dataclass(slots=True, frozen=True)
class Handle:
    """An open actor store."""

    db: Database
    transactor: ActorStoreTransactor

    @property
    def reader(self) -> ActorStoreReader:
        """What may only read, and knows what the transactor has learned."""
        return self.transactor


class HandleCache:
    """Handles by DID, for the event loop only."""

    def __init__(self, open_handle: Callable[[str], Handle], *, max_open: int) -> None:
        self._open_handle = open_handle
        self._handles: LRUCache[str, Handle] = LRUCache(max_open)
        self.max_open = max_open
        self.lookups = Lookups()
        # Closing may write the WAL into the database and wait for the disk, so not on the loop.
        self._closer = ThreadPoolExecutor(1, thread_name_prefix="actor-store-close")

    def __len__(self) -> int:
        return len(self._handles)

    def __contains__(self, did: str) -> bool:
        return did in self._handles

    def get(self, did: str) -> Handle:
        """The handle, valid until the caller next waits. Raises what opening raises."""
        try:
            handle = self._handles[did]
        except KeyError:
            pass
        else:
            self.lookups.hits += 1
            return handle
        self.lookups.misses += 1
        handle = self._open_handle(did)
        while len(self._handles) >= self._handles.maxsize:
            _, oldest = self._handles.popitem()
            self._closer.submit(_close, oldest.db)
        self._handles[did] = handle
        return handle

    def discard(self, did: str) -> None:
        """Close the handle, if it is open, at once."""
        handle = self._handles.pop(did, None)
        if handle is not None:
            _close(handle.db)

    def close(self) -> None:
        """Close all handles and wait for it: to be called in a thread."""
        while self._handles:
            _, handle = self._handles.popitem()
            self._closer.submit(_close, handle.db)
        self._closer.shutdown(wait=True)


def max_open_stores(wanted: int = DEFAULT_MAX_OPEN) -> int:
    """How many of the `wanted` stores the limit of open files (RLIMIT_NOFILE) allows."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return wanted
    return min(wanted, max(_MIN_OPEN, (limit - _RESERVED_FILES) // _FILES_PER_STORE))


def _close(db: Database) -> None:
    try:
        db.close()
    except DatabaseError as exc:
        # Nothing is lost: what was committed is in the WAL, and is read back from there.
        logger.warning("closing %s: %s", db.path, exc)
