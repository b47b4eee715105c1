"""Keeping the garbage collector away from large values.

A megabyte of JSON may hold half a million lists. Traversing them stops every thread for a tenth of
a second and finds nothing: such values have no cycles and are freed with their last reference.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Collector:
    """The process-wide collector, paused while at least one caller wants it paused."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pauses = 0
        self._was_enabled = False

    def pause(self) -> None:
        with self._lock:
            if self._pauses == 0:
                self._was_enabled = gc.isenabled()
                gc.disable()
            self._pauses += 1

    def resume(self) -> None:
        with self._lock:
            self._pauses -= 1
            if self._pauses == 0 and self._was_enabled:
                gc.enable()


_COLLECTOR = _Collector()


@contextmanager
def without_collector() -> Iterator[None]:
    """Pause the collector for a `with` block that creates and releases a large value."""
    _COLLECTOR.pause()
    try:
        yield
    finally:
        _COLLECTOR.resume()
