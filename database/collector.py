"""Keeping the garbage collector off large values.

A megabyte of JSON may be half a million lists. To look at them all holds up every thread for a
tenth of a second, and finds nothing: such values have no cycles and go when their last reference
does.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Collector:
    """The one of the process, which several may want to rest at a time."""

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
    """A `with` block for a large value: made within, and forgotten at the end."""
    _COLLECTOR.pause()
    try:
        yield
    finally:
        _COLLECTOR.resume()
