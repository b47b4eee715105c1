"""How long the event loop was held: what every other client would have waited for."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(slots=True)
class LoopBlocks:
    """The steps of the event loop during a `with` block."""

    longest_ms: float = 0.0
    """Processor time of the longest step: other processes of a busy machine do not count."""
    where: str = ""
    """What ran in it."""


@contextmanager
def loop_blocks() -> Iterator[LoopBlocks]:
    """Measure every step that event loops of this thread take until the end of a `with` block."""
    seen = LoopBlocks()
    # As the server does at its start. It is never undone, for then each collection to come would
    # look at all that the session has loaded.
    gc.collect()
    gc.freeze()
    run = asyncio.Handle._run

    def timed(handle: asyncio.Handle) -> None:
        started_s = time.thread_time()
        try:
            run(handle)
        finally:
            took_ms = (time.thread_time() - started_s) * 1000
            if took_ms > seen.longest_ms:
                seen.longest_ms, seen.where = took_ms, repr(handle)

    asyncio.Handle._run = timed  # type: ignore[method-assign,assignment]
    try:
        yield seen
    finally:
        asyncio.Handle._run = run  # type: ignore[method-assign]
