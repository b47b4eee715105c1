"""Work that becomes due by itself, done a while later, and again after failures."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

_SHORTEST_S: Final = 0.1
"""The pause that is doubled after failures, if the usual one is shorter."""
_LONGEST_S: Final = 600.0
"""The longest pause after failures, unless the usual one is longer."""

_log = structlog.get_logger(__name__)


async def repeat(
    due: asyncio.Event, pause_s: float, work: Callable[[], Awaitable[object]], *, what: str
) -> None:
    """Do `work` one pause after `due` is set, again and again, until cancelled.

    While it fails, the pauses become twice as long each time. `what` names it in the log.
    """
    failures = 0
    while True:
        await due.wait()
        after_failure_s = max(pause_s, _SHORTEST_S) * 2**failures if failures else pause_s
        await asyncio.sleep(min(after_failure_s, max(_LONGEST_S, pause_s)))
        due.clear()
        try:
            await work()
        except Exception as exc:  # noqa: BLE001 (whatever it was, the work is still due)
            due.set()
            failures = min(failures + 1, 16)
            _log.warning("work failed, retrying later", what=what, reason=str(exc))
        else:
            failures = 0


async def end(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel tasks and wait for them."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
    tasks.clear()
