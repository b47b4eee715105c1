"""Turns at long responses, some of which give way to clients that have none."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from aiohttp import web

from pds.fairness.answer_pace import acknowledged_bytes, reset
from pds.fairness.presence import while_present
from pds.fairness.repeating import repeated
from pds.fairness.turns import Turns

PATIENCE_S: Final = 2.0
"""How long a client waits before a response gives way to it, and then before the next does."""
SETTLED_S: Final = 5.0
"""Minimum age of a response before it may give way, or counts as slow."""
SLOW_BYTES_PER_S: Final = 64 * 1024


@dataclass(slots=True, eq=False)
class _UnderWay:
    """A response that has a turn."""

    transport: asyncio.Transport
    holders: tuple[str, ...]
    began_s: float
    before_bytes: int | None
    """The bytes the client had already read on this connection; None if unknown."""

    def pace(self, now_s: float) -> float:
        """Return the client's average pace in bytes per second."""
        taken = acknowledged_bytes(self.transport)
        if taken is None or self.before_bytes is None:
            return math.inf
        return (taken - self.before_bytes) / max(now_s - self.began_s, 1.0)

    def is_slow(self, now_s: float) -> bool:
        """Whether data is waiting for the client, and it has been slow on average."""
        is_waited_for = self.transport.get_write_buffer_size() > 0
        return is_waited_for and self.pace(now_s) < SLOW_BYTES_PER_S


class LongAnswers:
    """Turns at responses that last as long as their clients like.

    If all turns are taken, one response gives way to a client that has none and has waited for a
    while: one of the client with the most or, if no client has two, one whose client reads less
    than `SLOW_BYTES_PER_S` although more is available, slowest first. So neither a few addresses
    nor slow clients can keep others out, and a slow client is left alone while there is room.
    """

    def __init__(self, turns: Turns) -> None:
        """The holders of `turns` are clients, for example by address."""
        self._turns = turns
        self._under_way: dict[_UnderWay, None] = {}

    @property
    def running(self) -> int:
        """The number of responses that have a turn."""
        return self._turns.running

    @property
    def waiting(self) -> int:
        """The number of responses that wait for a turn."""
        return self._turns.waiting

    @asynccontextmanager
    async def turn(self, request: web.BaseRequest, *holders: str) -> AsyncIterator[None]:
        """Hold a turn during an `async with` block; the client must stay connected while waiting.

        The connection may be reset within the block. Raises `TooBusy` and `ClientLeft` before it.
        """
        turn = self._turns.turn(*holders)
        async with AsyncExitStack() as stack:
            if self._turns.is_free_for(holders):
                await stack.enter_async_context(turn)
            else:
                press = partial(self._give_way_to, holders)
                with while_present(request), repeated(press, every_s=PATIENCE_S):
                    await stack.enter_async_context(turn)
            if request.transport is not None:
                stack.enter_context(self._noted(request.transport, holders))
            yield

    @contextmanager
    def _noted(self, transport: asyncio.Transport, holders: tuple[str, ...]) -> Iterator[None]:
        now_s = asyncio.get_running_loop().time()
        answer = _UnderWay(transport, holders, now_s, acknowledged_bytes(transport))
        self._under_way[answer] = None
        try:
            yield
        finally:
            del self._under_way[answer]

    def _give_way_to(self, holders: tuple[str, ...]) -> bool:
        """Make one response give way to the waiting `holders`. Return True, to be called again."""
        if self._turns.held_by(*holders) or self._turns.has_free:
            return True
        now_s = asyncio.get_running_loop().time()
        settled = [
            answer
            for answer in self._under_way
            if answer.began_s + SETTLED_S <= now_s and not answer.transport.is_closing()
        ]
        most = max((self._turns.held_by(*answer.holders) for answer in settled), default=0)
        if most > 1:
            chosen = [each for each in settled if self._turns.held_by(*each.holders) == most]
        else:
            chosen = [each for each in settled if each.is_slow(now_s)]
        if chosen:
            reset(min(chosen, key=lambda answer: answer.pace(now_s)).transport)
        return True
