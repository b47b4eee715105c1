"""Who reads bytes from the old one of two stores, where a move is about to delete them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

PATIENCE_S: Final = 10.0
"""How long a finished move waits for those who still read the old bytes."""

Name = TypeVar("Name", bound=Hashable)
"""What names bytes in a store."""


class OldReaders(Generic[Name]):
    """Who may read permanent bytes from the old store, where an S3 server would cut them off."""

    def __init__(self) -> None:
        self._reading: Counter[Name] = Counter()
        self._awaited: dict[Name, asyncio.Event] = {}

    def enter(self, name: Name) -> OldReader:
        """Count a reader until it leaves. While `have_left` waits, later ones do not count."""
        if name in self._awaited:
            return OldReader(lambda: None)
        self._reading[name] += 1
        return OldReader(lambda: self._leave(name))

    def read(self, name: Name) -> bool:
        """Whether somebody reads the bytes."""
        return name in self._reading

    async def have_left(self, name: Name) -> bool:
        """Return whether nobody reads the bytes, after waiting for that a while.

        Call it when the new store has the bytes, which is where later readers find them.
        """
        if self.read(name):
            event = self._awaited.setdefault(name, asyncio.Event())
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await event.wait()
            except TimeoutError:
                self._awaited.pop(name, None)
        return not self.read(name)

    def _leave(self, name: Name) -> None:
        self._reading[name] -= 1
        if not self._reading[name]:
            del self._reading[name]
            if (event := self._awaited.pop(name, None)) is not None:
                event.set()


class OldReader:
    """Somebody who looks for a blob, or reads it from the old store."""

    def __init__(self, leave: Callable[[], None]) -> None:
        self._leave: Callable[[], None] | None = leave

    def leave(self) -> None:
        """Stop counting it. May be repeated."""
        leave, self._leave = self._leave, None
        if leave is not None:
            leave()
