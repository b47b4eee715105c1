"""Open files: how many this process has and may have, and what the last ones are reserved for.

Sockets, databases and blobs share one limit, RLIMIT_NOFILE. Databases kept open only for speed
are closed to make room for anything else. The last files are reserved for what must always work:
accepting connections, health checks, and files that are open for only a moment. SQLite closes
some files later than its connections, so the count is of files that are really open.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import resource
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Protocol

from database.errors import OUT_OF_FILES, DatabaseOutOfFiles

MIN_LIMIT: Final = 128
"""A server cannot work with fewer files than this."""
REMEDY: Final = DatabaseOutOfFiles.hint
WAIT_S: Final = 5.0
"""How long to wait for room; the same as for a database lock."""

_DESCRIPTORS: Final = Path("/proc/self/fd")
_UNLIMITED: Final = 1_000_000
_SPARE: Final = 32
_MAX_SPARE: Final = 256
_MAX_AHEAD: Final = 1_024
_POLL_S: Final = 0.01
_SHARE_OF_TIME: Final = 20
"""Counting open files takes at most this fraction (1/n) of the time."""
_OUTDATED_S: Final = 1.0
"""A count expires, because not every opened file is reported here."""
_WARN_EVERY_S: Final = 60.0

logger = logging.getLogger(__name__)


class OutOfFiles(OSError):
    """One more file would be too many for the limit of open files."""

    def __init__(self, limit: int) -> None:
        super().__init__(errno.EMFILE, f"the limit of {limit} open files is reached; {REMEDY}")


class Keeper(Protocol):
    """Holds open files that it can do without."""

    @property
    def wanted_files(self) -> int:
        """Return how many more files it needs to work at all; these are reserved for it."""
        ...

    def give_back(self, files: int) -> None:
        """Close this many soon, including those it is already closing."""
        ...


class OpenFiles:
    """The open files of this process, for use on its event loop."""

    def __init__(
        self,
        *,
        limit: int | None = None,
        count: Callable[[], int] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`limit` defaults to the system's; `count` returns how many files are open."""
        self._clock = clock
        self.limit = limit_of_open_files() if limit is None else limit
        self.spare = min(_SPARE + self.limit // 32, _MAX_SPARE)
        """Files left free by everything except connections, which leave half as many."""
        self._ahead = min(max(16, self.limit // 32), _MAX_AHEAD)
        """How many more the keeper leaves free, to allow time for closing some."""
        self._count = count or count_open_files
        self._keeper: Keeper | None = None
        self._known = 0
        self._since = 0
        """Files reported as opened since the last count."""
        self._promised = 0
        """Files about to be opened."""
        self._look_at = 0.0
        self._outdated_at = 0.0
        self._warn_at = 0.0

    def keep_with(self, keeper: Keeper) -> None:
        """Register the `keeper` that gives files back when they become scarce."""
        self._keeper = keeper

    def note_opened(self, files: int) -> None:
        """Add newly opened files to the count, until the next real count."""
        self._since += files

    def has_room(self, files: int, *, for_keeper: bool = False) -> bool:
        """Whether this many more may be opened and kept open. Asks the keeper to give some back."""
        spare = self.spare
        if self._keeper is not None and not for_keeper:
            spare += self._keeper.wanted_files
        return self._find_room(files, spare)

    def has_room_for_connection(self) -> bool:
        """Whether a newly accepted connection may stay open."""
        return self._find_room(0, self.spare // 2)

    async def until_room(self, files: int) -> None:
        """Wait until this many more may be opened and kept open. Raises `OutOfFiles`."""
        if self.has_room(files):
            return
        give_up_at = time.monotonic() + WAIT_S
        while time.monotonic() < give_up_at:
            await asyncio.sleep(_POLL_S)
            if self.has_room(files):
                return
        self.warn()
        raise OutOfFiles(self.limit)

    @asynccontextmanager
    async def room(self, files: int) -> AsyncIterator[None]:
        """Wait for room, and reserve it in an `async with` block. Raises `OutOfFiles` before it."""
        await self.until_room(files)
        self._promised += files
        try:
            yield
        finally:
            self._promised -= files
            self._since += files

    def warn(self) -> None:
        """Log that the limit is reached, at a limited rate."""
        now = self._clock()
        if now >= self._warn_at:
            self._warn_at = now + _WARN_EVERY_S
            logger.warning("the limit of %d open files is reached; %s", self.limit, REMEDY)

    def _find_room(self, files: int, spare: int) -> bool:
        room = self._room(files, spare)
        now = self._clock()
        if room >= self._ahead and now < self._outdated_at:
            return True
        if now >= self._look_at:
            # CPU time, because this thread may have to wait for the processor.
            began = time.thread_time()
            self._known, self._since = self._count(), 0
            took_s = time.thread_time() - began
            self._look_at = now + took_s * _SHARE_OF_TIME
            self._outdated_at = self._look_at + _OUTDATED_S
            room = self._room(files, spare)
            if room < self._ahead and self._keeper is not None:
                # Ask for twice as many, to avoid a request for every single file.
                self._keeper.give_back(2 * self._ahead - room)
        return room >= 0

    def _room(self, files: int, spare: int) -> int:
        used = self._known + self._since + self._promised
        return self.limit - spare - used - files


def limit_of_open_files() -> int:
    """Return how many files this process may have open."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _UNLIMITED if limit == resource.RLIM_INFINITY else min(limit, _UNLIMITED)


def count_open_files() -> int:
    """Return how many files this process has open."""
    try:
        # Since Linux 6.2, the size of the directory is the count.
        count = _DESCRIPTORS.stat().st_size or sum(1 for _ in _DESCRIPTORS.iterdir())
    except OSError as exc:
        # Listing takes a file itself. Where listing is impossible, only the reported files count.
        return limit_of_open_files() if exc.errno in OUT_OF_FILES else _SPARE
    return count
