"""Small work that goes on after the answer to a request, such as sending a mail.

It is lost if the process is killed. What must not be lost belongs in the journal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

from pds.fairness.turns import TooBusy

MAX_TASKS: Final = 200
_CLOSING_S: Final = 5.0


class Later:
    """Tasks whose end nobody waits for, but the end of the server."""

    def __init__(self, *, max_tasks: int = MAX_TASKS) -> None:
        self._max_tasks = max_tasks
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin `work`, which handles its own errors. Raises `TooBusy` if there is too much."""
        if len(self._tasks) >= self._max_tasks:
            work.close()
            raise TooBusy("The server is busy.")
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Let what has begun end, for a few seconds, and cancel the rest."""
        tasks = list(self._tasks)
        if tasks:
            await asyncio.wait(tasks, timeout=_CLOSING_S)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
