"""Periodic checks while a block runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def repeated(look: Callable[[], bool], *, every_s: float) -> Iterator[None]:
    """Call `look` every `every_s` seconds during a `with` block, as long as it returns True."""
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle

    def wait() -> None:
        nonlocal timer
        timer = loop.call_later(every_s, look_again)

    def look_again() -> None:
        if look():
            wait()

    wait()
    try:
        yield
    finally:
        timer.cancel()
