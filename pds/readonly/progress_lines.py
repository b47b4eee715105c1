"""Progress for whoever reads logs: a line now and then, so that a long load is seen to live."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import structlog

from pds.readonly.library import OnProgress

EVERY_S: Final = 10.0

_log = structlog.get_logger(__name__)


def log_progress(clock_s: Callable[[], float] = time.monotonic) -> OnProgress:
    """Progress that is logged every `EVERY_S` seconds."""
    last_s = clock_s()

    def show(done: int, total: int) -> None:
        nonlocal last_s
        if clock_s() - last_s >= EVERY_S:
            last_s = clock_s()
            # All bytes have been read a while before the last file is loaded.
            percent = min(99, 100 * done // max(total, 1))
            _log.info("loading CAR files", percent=percent, done_bytes=done, total_bytes=total)

    return show
