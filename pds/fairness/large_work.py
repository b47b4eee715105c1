"""CPU-heavy work, such as a record of a megabyte: in a thread, one piece at a time.

A thread for each would not be faster, because Python runs one at a time, and would need the memory
of all at once. The event loop runs beside the one thread, as long as no call into C takes long.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Final, TypeVar

from database.collector import without_collector
from pds.fairness.long_answers import LongAnswers
from pds.fairness.per_process import per_process
from pds.fairness.turns import Turns

T = TypeVar("T")

_WAITING: Final = 64
_WAITING_EACH: Final = 16
_WAIT_S: Final = 30.0
_BODIES: Final = 64
_BODIES_EACH: Final = 8
_BODIES_WAIT_S: Final = 40.0
"""A little longer than a body may take to arrive."""
_ANSWERS: Final = 16
_ANSWERS_EACH: Final = 4
_ANSWERS_WAITING: Final = 16
_ANSWERS_WAITING_EACH: Final = 2
"""Few, because they are already in memory."""


class LargeWork:
    """Turns at the thread for large work, and at sending large responses, handed out fairly."""

    def __init__(self, *, processes: int = 1) -> None:
        """Share the memory with the other `processes` of the server."""
        self._turns = Turns(
            "large requests",
            at_once=1,
            each=1,
            waiting=_WAITING,
            waiting_each=_WAITING_EACH,
            wait_s=_WAIT_S,
        )
        self.bodies = Turns(
            "large requests",
            at_once=per_process(_BODIES, processes),
            each=per_process(_BODIES_EACH, processes),
            waiting=2 * _BODIES,
            waiting_each=2 * _BODIES_EACH,
            wait_s=_BODIES_WAIT_S,
        )
        """Large bodies being received; each is held in memory until it is complete."""
        self.answers = LongAnswers(
            Turns(
                "large answers",
                at_once=per_process(_ANSWERS, processes),
                each=per_process(_ANSWERS_EACH, processes),
                waiting=_ANSWERS_WAITING,
                waiting_each=_ANSWERS_WAITING_EACH,
                wait_s=_WAIT_S,
            )
        )
        """Large responses being sent; each is in memory as a whole until its client has it."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="large-work")

    async def run(self, fn: Callable[[], T], *holders: str) -> T:
        """Run `fn`, which must not touch shared state, and return its result. Raises `TooBusy`."""
        async with self._turns.turn(*holders):
            return await self._run(fn)

    @asynccontextmanager
    async def turn(self, *holders: str) -> AsyncIterator[LargeTurn]:
        """Hold a turn for several steps with one value. Raises `TooBusy` before the block."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._turns.turn(*holders))
            stack.enter_context(without_collector())
            yield LargeTurn(self, stack)

    def wait(self, *holders: str) -> AbstractAsyncContextManager[None]:
        """Hold a turn for work in a thread of its own. Raises `TooBusy` before the block."""
        return self._turns.turn(*holders)

    def close(self) -> None:
        """Wait for the work in progress; call it in a thread."""
        self._thread.shutdown(wait=True)

    async def _run(self, fn: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, _tidily, fn)


class LargeTurn:
    """A held turn. The garbage collector pauses until its end: release the value before."""

    def __init__(self, work: LargeWork, stack: AsyncExitStack) -> None:
        self._work = work
        self._stack = stack

    async def run(self, fn: Callable[[], T]) -> T:
        """Call `fn` in the thread and return its result."""
        return await self._work._run(fn)

    async def end(self) -> None:
        """Give the turn back before the end of the block. May be repeated."""
        await self._stack.aclose()


def _tidily(fn: Callable[[], T]) -> T:
    try:
        return fn()
    except Exception as exc:
        # Its frames would keep the large value alive while the error propagates.
        _clear_frames(exc)
        raise


def _clear_frames(exc: BaseException | None) -> None:
    while exc is not None:
        traceback.clear_frames(exc.__traceback__)
        exc = exc.__cause__ or exc.__context__
