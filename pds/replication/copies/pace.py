"""How fast copies are looked for, and how long they rest after a failure."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Final

_REST_FACTOR: Final = 20
"""The pause after a step of a sweep, as a multiple of the step's duration."""
_MAX_REST_S: Final = 2.0
_FIRST_DELAY_S: Final = 1.0
_MAX_DELAY_S: Final = 120.0


class Pace:
    """A `with` block for one step of a sweep: afterwards, the sweep rests in proportion."""

    async def __aenter__(self) -> None:
        self._started_s = time.monotonic()

    async def __aexit__(self, *_: object) -> None:
        taken_s = time.monotonic() - self._started_s
        await asyncio.sleep(min(taken_s * _REST_FACTOR, _MAX_REST_S))


class BackOff:
    """Growing delays while the place of the replica is away."""

    def __init__(self) -> None:
        self._delay_s = _FIRST_DELAY_S

    def reset(self) -> None:
        """Begin with the shortest delay: something has worked."""
        self._delay_s = _FIRST_DELAY_S

    async def wait(self) -> None:
        """Wait longer than the last time, up to two minutes."""
        delay_s = self._delay_s * random.uniform(0.75, 1.25)  # noqa: S311 - it spreads load
        self._delay_s = min(self._delay_s * 2, _MAX_DELAY_S)
        await asyncio.sleep(delay_s)
