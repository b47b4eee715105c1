"""For tests of what has to come in a time: a machine that is busy gets more of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

_SECONDS = (0.15, 0.6, 2.4)
_LAST_SECONDS = 10.0


async def with_more_time(attempt: Callable[[float], Awaitable[None]]) -> None:
    """Call `attempt` with a time in seconds, and after a failure with ever more of it.

    For a promise that holds whatever the time is: where it is broken, it fails with each.
    """
    for seconds in _SECONDS:
        with suppress(Exception):
            return await attempt(seconds)
    return await attempt(_LAST_SECONDS)
