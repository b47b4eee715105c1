"""Open files: how many this process has, how many it may have, and who gets the last of them.

Sockets, databases and blobs take from one number, RLIMIT_NOFILE. Databases that are only kept
open for speed give way to whatever else is to be opened, and the last files are for what must
always work: accepting connections, checking health, and files that are open for a moment only.
SQLite closes some files later than its connections, so what counts is what is really open.
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
"""With fewer files than this a server is of no use."""
REMEDY: Final = DatabaseOutOfFiles.hint
WAIT_S: Final = 5.0
"""How long there is waited for room, as for the lock of a database."""

_DESCRIPTORS: Final = Path("/proc/self/fd")
_UNLIMITED: Final = 1_000_000
_SPARE: Final = 32
_MAX_SPARE: Final = 256
_MAX_AHEAD: Final = 1_024
_POLL_S: Final = 0.01
_SHARE_OF_TIME: Final = 20
"""Looking at what is open takes at most one part in so many of the time."""
_OUTDATED_S: Final = 1.0
"""Not all that is opened is told."""
_WARN_EVERY_S: Final = 60.0

logger = logging.getLogger(__name__)


class OutOfFiles(OSError):
    """One more file would be too many for the limit of open files."""

    def __init__(self, limit: int) -> None:
        super().__init__(errno.EMFILE, f"the limit of {limit} open files is reached; {REMEDY}")


class Keeper(Protocol):
    """Keeps files open that it can do without."""

    @property
    def wanted_files(self) -> int:
        """How many more it needs, to be of any use: they are not for others."""
        ...

    def give_back(self, files: int) -> None:
        """Close so many soon, with those that it is already closing."""
        ...


class OpenFiles:
    """The open files of this process, for its event loop."""

    def __init__(self, *, limit: int | None = None, count: Callable[[], int] | None = None) -> None:
        """`limit` is that of the system by default, and `count` tells how many are open."""
        self.limit = limit_of_open_files() if limit is None else limit
        self.spare = min(_SPARE + self.limit // 32, _MAX_SPARE)
        """Left free by all but connections, which leave half of it."""
        self._ahead = min(max(16, self.limit // 32), _MAX_AHEAD)
        """How many more the keeper leaves free, so that there is time to close some."""
        self._count = count or count_open_files
        self._keeper: Keeper | None = None
        self._known = 0
        self._since = 0
        """Opened since it was last looked, as far as has been told."""
        self._promised = 0
        """About to be opened."""
        self._look_at = 0.0
        self._outdated_at = 0.0
        self._warn_at = 0.0

    def keep_with(self, keeper: Keeper) -> None:
        """Let `keeper` give files back when they become scarce."""
        self._keeper = keeper

    def note_opened(self, files: int) -> None:
        """Count files that have been opened, until it is looked again what is open."""
        self._since += files

    def has_room(self, files: int, *, for_keeper: bool = False) -> bool:
        """Whether so many more may be opened and kept open. Lets the keeper give some back."""
        spare = self.spare
        if self._keeper is not None and not for_keeper:
            spare += self._keeper.wanted_files
        return self._find_room(files, spare)

    def has_room_for_connection(self) -> bool:
        """Whether the connection that has just been accepted may stay."""
        return self._find_room(0, self.spare // 2)

    async def until_room(self, files: int) -> None:
        """Wait until so many more may be opened and kept open. Raises `OutOfFiles`."""
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
        """An `async with` block in which so many are opened. Raises `OutOfFiles` before it."""
        await self.until_room(files)
        self._promised += files
        try:
            yield
        finally:
            self._promised -= files
            self._since += files

    def warn(self) -> None:
        """Tell the operator that the limit is reached, but not all the time."""
        now = time.monotonic()
        if now >= self._warn_at:
            self._warn_at = now + _WARN_EVERY_S
            logger.warning("the limit of %d open files is reached; %s", self.limit, REMEDY)

    def _find_room(self, files: int, spare: int) -> bool:
        room = self._room(files, spare)
        now = time.monotonic()
        if room >= self._ahead and now < self._outdated_at:
            return True
        if now >= self._look_at:
            # Of the processor's time: this thread may have to wait for it.
            began = time.thread_time()
            self._known, self._since = self._count(), 0
            took_s = time.thread_time() - began
            self._look_at = now + took_s * _SHARE_OF_TIME
            self._outdated_at = self._look_at + _OUTDATED_S
            room = self._room(files, spare)
            if room < self._ahead and self._keeper is not None:
                # Twice as far, so that it is not asked for each file anew.
                self._keeper.give_back(2 * self._ahead - room)
        return room >= 0

    def _room(self, files: int, spare: int) -> int:
        used = self._known + self._since + self._promised
        return self.limit - spare - used - files


def limit_of_open_files() -> int:
    """How many files this process may have open."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _UNLIMITED if limit == resource.RLIM_INFINITY else min(limit, _UNLIMITED)


def count_open_files() -> int:
    """How many files this process has open."""
    try:
        # Since Linux 6.2 the size of the directory is the answer.
        count = _DESCRIPTORS.stat().st_size or sum(1 for _ in _DESCRIPTORS.iterdir())
    except OSError as exc:
        # Listing takes a file itself. Where nothing can be listed, what was told must do.
        return limit_of_open_files() if exc.errno in OUT_OF_FILES else _SPARE
    return count
