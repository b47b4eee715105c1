"""Disk space reserved for a start on a full disk.

Opening databases takes some space, and so does recording what the last stop left. A server that
stops on a full disk could not start again, not even for reads. So a file reserves space while there
is plenty, and releases it at such a start.
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
"""Five times what opening the service's databases takes."""
_PLENTY: Final = 8
"""Space is reserved if the disk has this many times as much."""
_LOOK_EVERY_S: Final = 600.0

_log = structlog.get_logger(__name__)


class DiskReserve:
    """The file that reserves space in a data directory."""

    def __init__(self, directory: Path, cache: Path) -> None:
        """Use `cache`, an expendable database, in place of a missing reserve."""
        self._path = directory / RESERVE_FILE
        self._cache = cache

    def release_if_full(self) -> bool:
        """Release the space if the disk is nearly full; return whether it is. Only at start."""
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
            "the disk is full: reads work, but hardly any write does",
            directory=str(self._path.parent),
            deleted=[str(path) for path in given_up],
            remedy="Free space; docs/operating.md, A full disk, says what may be deleted.",
        )
        return True

    def keep(self) -> None:
        """Reserve the space if there is plenty. Writes a megabyte, so call it in a thread."""
        if self._path.exists() or _free_bytes(self._path.parent) < _PLENTY * RESERVED_BYTES:
            return
        unfinished = self._path.with_name(f".{RESERVE_FILE}")
        try:
            # Random bytes, because some file systems allocate no space for zeros.
            unfinished.write_bytes(os.urandom(RESERVED_BYTES))
            unfinished.rename(self._path)
        except OSError as exc:
            _log.warning("no disk space was reserved", file=str(self._path), reason=str(exc))
            unfinished.unlink(missing_ok=True)

    async def keep_from_now_on(self) -> None:
        """Reserve the space now, and again whenever it was released and there is plenty."""
        while True:
            await asyncio.to_thread(self.keep)
            await asyncio.sleep(_LOOK_EVERY_S)


def _free_bytes(directory: Path) -> int:
    space = os.statvfs(directory)
    return space.f_bavail * space.f_frsize
