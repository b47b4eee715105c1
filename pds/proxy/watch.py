"""Time limits for proxied requests, and a check that the client still waits."""

from __future__ import annotations

import asyncio
import math
from types import TracebackType
from typing import TYPE_CHECKING, Self

from identity.http import FetchTimeout
from pds.fairness.presence import LOOK_S, ClientLeft, has_left

if TYPE_CHECKING:
    from aiohttp import web

    from pds.config import Settings


class Watch:
    """Ends the current task's work when one side keeps the other waiting, or the client leaves.

    A context manager around an exchange; each step says what it waits for. The block ends with
    `FetchTimeout` for the service, or `ClientLeft` when there is nobody to answer.
    One timer serves all steps, so a step costs next to nothing.
    """

    def __init__(self, request: web.Request, settings: Settings) -> None:
        self._request = request
        self._headers_s = settings.proxy.headers_timeout_ms / 1000
        self._body_s = settings.proxy.body_timeout_ms / 1000
        self._loop = asyncio.get_running_loop()
        self._deadline = 0.0
        self._outcome: Exception | None = None

    def await_head(self) -> None:
        """Wait for the connection, or for the head of the answer to what has been sent."""
        self._set(self._headers_s)

    def await_part(self) -> None:
        """Wait for the service to send, or to accept, a part of a body."""
        self._set(self._body_s)

    def await_others(self) -> None:
        """Wait for the client, or for a turn, which have time limits of their own."""
        self._set(math.inf)

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a watch needs a task")
        self._task = task
        self._cancelling = task.cancelling()
        self.await_head()
        self._look_later()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._timer.cancel()
        if self._outcome is None:
            return
        # As in `asyncio.timeout`: a cancellation by somebody else propagates.
        if self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise self._outcome from exc

    def _set(self, seconds: float) -> None:
        self._deadline = self._loop.time() + seconds

    def _look_later(self) -> None:
        left = self._deadline - self._loop.time()
        self._timer = self._loop.call_later(min(max(left, 0), LOOK_S), self._look)

    def _look(self) -> None:
        if has_left(self._request):
            self._end(ClientLeft())
        elif self._loop.time() < self._deadline:
            self._look_later()
        else:
            self._end(FetchTimeout(self._request.path, "the service keeps silent"))

    def _end(self, outcome: Exception) -> None:
        self._outcome = outcome
        self._task.cancel()
