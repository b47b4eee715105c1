"""What deleting old events costs a server: how fast it is, and for how long nobody is answered."""

from __future__ import annotations

import asyncio
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from database.checkpoints import Checkpointer
from pds.server.process import tune_garbage_collector
from sequencer.log import OldEvents
from sequencer.retention import KeptEvents, Retention
from sequencer.sequencer import Sequencer

_DAY_S: Final = 86_400.0


@dataclass(slots=True, frozen=True)
class RetentionFigures:
    """The deletion of a whole log."""

    events: int
    seconds: float
    log_bytes: int
    """The size of the log before."""
    step_p99_ms: float
    """For how long a step holds the event loop."""
    step_max_ms: float


def measure_retention(log: Path, work: Path) -> RetentionFigures:
    """Delete all events of a copy of `log`, which are old, as a server without load does."""
    copy = work / "retention.sqlite"
    shutil.copyfile(log, copy)
    figures = asyncio.run(_measure(copy, log.stat().st_size))
    for path in work.glob("retention.sqlite*"):
        path.unlink()
    return figures


async def _measure(log: Path, size_bytes: int) -> RetentionFigures:
    checkpointer = Checkpointer()
    sequencer = Sequencer(log, checkpointer=checkpointer)
    delete, steps_ms = sequencer.delete_oldest, list[float]()

    async def timed(old: OldEvents) -> int:
        # Of the processor: it waits for nothing, since nobody else writes.
        started_s = time.thread_time()
        deleted = await delete(old)
        steps_ms.append(1000 * (time.thread_time() - started_s))
        return deleted

    tune_garbage_collector()
    sequencer.delete_oldest = timed  # type: ignore[method-assign]
    started_s = time.monotonic()
    retention = Retention(
        sequencer,
        log,
        KeptEvents(age_s=_DAY_S),
        is_checkpointing=lambda: checkpointer.waiting > 0,
    )
    events = await retention.sweep()
    seconds = time.monotonic() - started_s
    await sequencer.close()
    checkpointer.close()
    steps_ms.sort()
    return RetentionFigures(
        events, seconds, size_bytes, steps_ms[len(steps_ms) * 99 // 100], steps_ms[-1]
    )
