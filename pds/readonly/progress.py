"""How much of the files is loaded, and telling of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

import structlog

from pds.readonly.car_files import CarFile
from pds.readonly.loading import read_bytes_of

LOG_EVERY_S: Final = 10.0
_TELL_EVERY_S: Final = 0.2

_log = structlog.get_logger(__name__)

OnProgress: TypeAlias = Callable[[int, int], None]
"""Told how many bytes of files are loaded, of how many."""


@dataclass(slots=True)
class Work:
    """Files that are to be loaded."""

    total_bytes: int
    _done_bytes: int = 0
    _loading: dict[Path, CarFile] = field(default_factory=dict)
    """By the database that is made of them."""

    @contextmanager
    def on(self, file: CarFile, store: Path) -> Iterator[None]:
        """A `with` block in which a file is loaded."""
        self._loading[store] = file
        try:
            yield
        finally:
            del self._loading[store]
            self._done_bytes += file.size_bytes

    def bytes(self) -> int:
        """Bytes of files that are done, and of those under way what has been read."""
        read = (min(read_bytes_of(store), file.size_bytes) for store, file in self._loading.items())
        return self._done_bytes + sum(read)


async def tell(work: Work, on_progress: OnProgress) -> None:
    """Tell of progress until cancelled."""
    while True:
        await asyncio.sleep(_TELL_EVERY_S)
        on_progress(work.bytes(), work.total_bytes)


def nobody(_done: int, _total: int) -> None:
    """Nobody wants to see progress."""


def log_progress(clock_s: Callable[[], float] = time.monotonic) -> OnProgress:
    """Progress as a line of the log every `LOG_EVERY_S`, so that a long load is seen to live."""
    last_s = clock_s()

    def show(done: int, total: int) -> None:
        nonlocal last_s
        if clock_s() - last_s >= LOG_EVERY_S:
            last_s = clock_s()
            # All bytes have been read a while before the last file is loaded.
            percent = min(99, 100 * done // max(total, 1))
            _log.info("loading CAR files", percent=percent, done_bytes=done, total_bytes=total)

    return show
