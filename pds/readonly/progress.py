"""How much of the files is loaded, and reports of it."""

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
"""Called with the number of bytes loaded, and the total."""


@dataclass(slots=True)
class Work:
    """The files to be loaded."""

    total_bytes: int
    _done_bytes: int = 0
    _loading: dict[Path, CarFile] = field(default_factory=dict)
    """The files under way, by the database each is loaded into."""

    @contextmanager
    def on(self, file: CarFile, store: Path) -> Iterator[None]:
        """Mark a file as being loaded, for the length of a `with` block."""
        self._loading[store] = file
        try:
            yield
        finally:
            del self._loading[store]
            self._done_bytes += file.size_bytes

    def bytes(self) -> int:
        """Return the bytes of finished files, and those read of the files under way."""
        read = (min(read_bytes_of(store), file.size_bytes) for store, file in self._loading.items())
        return self._done_bytes + sum(read)


async def tell(work: Work, on_progress: OnProgress) -> None:
    """Report progress until cancelled."""
    while True:
        await asyncio.sleep(_TELL_EVERY_S)
        on_progress(work.bytes(), work.total_bytes)


def nobody(_done: int, _total: int) -> None:
    """Ignore progress."""


def log_progress(clock_s: Callable[[], float] = time.monotonic) -> OnProgress:
    """Log progress every `LOG_EVERY_S`, so that a long load is seen to be alive."""
    last_s = clock_s()

    def show(done: int, total: int) -> None:
        nonlocal last_s
        if clock_s() - last_s >= LOG_EVERY_S:
            last_s = clock_s()
            # All bytes have been read some time before the last file is loaded.
            percent = min(99, 100 * done // max(total, 1))
            _log.info("loading CAR files", percent=percent, done_bytes=done, total_bytes=total)

    return show
