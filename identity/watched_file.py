"""A system file that is reread when it changes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Generic, TypeVar

T = TypeVar("T")

LOOK_S: Final = 5.0
"""Interval between checks for a change."""


class WatchedFile(Generic[T]):
    """The result of `parse` for a file, or for its absence."""

    def __init__(self, path: Path, parse: Callable[[Path], T]) -> None:
        self._path = path
        self._parse = parse
        self._state: tuple[int, int] | None = None
        self._looked_at = float("-inf")
        self._content: T

    def content(self) -> T:
        """Return the parsed file, at most a few seconds out of date."""
        now = time.monotonic()
        if now - self._looked_at >= LOOK_S:
            first = self._looked_at == float("-inf")
            state = self._look()
            if first or state != self._state:
                self._content = self._parse(self._path)
            self._looked_at, self._state = now, state
        return self._content

    def _look(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size
