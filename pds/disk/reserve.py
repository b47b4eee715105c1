"""Room on the disk that is kept for a start which finds it full.

Opening databases takes some room, and so does noting what the last stop has left. On a full disk
a server that stops could not come back, not even to be read. So a file takes some room while there
is plenty, and gives it up at such a start.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Final

import structlog

from database.wal import files_of

RESERVE_FILE: Final = "holdfast.reserve"
RESERVED_BYTES: Final = 1 << 20
"""Five times what opening the databases of the service takes."""
_PLENTY: Final = 8
"""A disk with so many times the reserve has room for it."""
_LOOK_EVERY_S: Final = 600.0

_log = structlog.get_logger(__name__)


class DiskReserve:
    """The file that takes room in a data directory."""

    def __init__(self, directory: Path, cache: Path) -> None:
        """`cache` is a database that can be done without, and stands in for a missing reserve."""
        self._path = directory / RESERVE_FILE
        self._cache = cache

    def release_if_full(self) -> bool:
        """Give the room up if the disk has next to none; whether that was so. Only at start."""
        free = _free_bytes(self._path.parent)
        if free >= RESERVED_BYTES:
            return False
        given_up = []
        if self._path.exists():
            given_up.append(self._path)
        elif free < RESERVED_BYTES // 4:
            given_up += files_of(self._cache)
        for path in given_up:
            path.unlink(missing_ok=True)
        _log.error(
            "the disk is full: what is here can be read, but hardly anything written",
            directory=str(self._path.parent),
            deleted=[str(path) for path in given_up],
            remedy="Free space; docs/operating.md, A full disk, says what may be deleted.",
        )
        return True

    def keep(self) -> None:
        """Take the room if there is plenty. Writes a megabyte: for a thread."""
        if self._path.exists() or _free_bytes(self._path.parent) < _PLENTY * RESERVED_BYTES:
            return
        unfinished = self._path.with_name(f".{RESERVE_FILE}")
        try:
            # Not zeros, for which some file systems take no room.
            unfinished.write_bytes(os.urandom(RESERVED_BYTES))
            unfinished.rename(self._path)
        except OSError as exc:
            _log.warning("no room was reserved", file=str(self._path), reason=str(exc))
            unfinished.unlink(missing_ok=True)

    async def keep_from_now_on(self) -> None:
        """Take the room now, and again whenever it was given up and there is plenty."""
        while True:
            await asyncio.to_thread(self.keep)
            await asyncio.sleep(_LOOK_EVERY_S)


def _free_bytes(directory: Path) -> int:
    space = os.statvfs(directory)
    return space.f_bavail * space.f_frsize
