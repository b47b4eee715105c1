"""Repeated scans for new, changed and removed files."""

from __future__ import annotations

import asyncio
import time
from typing import Final

import structlog

from database.errors import DatabaseError
from pds.readonly.car_files import CarFile
from pds.readonly.library import Library

_PAUSES: Final = 20
"""The pause after a scan is at least so many times as long as the scan."""

_log = structlog.get_logger(__name__)


async def watch(library: Library, *, every_s: float) -> None:
    """Keep scanning for new and changed files, until cancelled.

    A file that is still being written is left alone until two scans find it unchanged.
    """
    seen: set[CarFile] = set()
    pause_s = every_s
    while True:
        await asyncio.sleep(pause_s)
        started_s = time.monotonic()
        try:
            look = await library.look()
            # Scanning many thousands of files must not keep a core busy.
            pause_s = max(every_s, _PAUSES * (time.monotonic() - started_s))
            seen, before = set(look.changed), seen
            look.changed = [file for file in look.changed if file in before]
            counts = await library.load(look)
        except (DatabaseError, OSError) as exc:
            _log.warning("CAR files could not be scanned", reason=str(exc))
            continue
        if counts.loaded or counts.refused or counts.removed:
            _log.info(
                "the CAR files have changed",
                loaded=counts.loaded,
                refused=counts.refused,
                removed=counts.removed,
            )
