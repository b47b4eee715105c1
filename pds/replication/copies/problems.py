"""Local files that cannot be copied: some of them by name, for the operator."""

from __future__ import annotations

from typing import Final

_MAX_KEPT: Final = 1_000


class Problems:
    """What is wrong with single files, until it is mended."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def add(self, name: str, text: str) -> bool:
        """Remember a problem; return whether it is new, so that it is logged once."""
        is_new = self._texts.get(name) != text
        if name in self._texts or len(self._texts) < _MAX_KEPT:
            self._texts[name] = text
        return is_new

    def clear(self, name: str) -> None:
        """Forget a file that is fine now, or gone."""
        self._texts.pop(name, None)

    def __len__(self) -> int:
        """Return how many files have a problem, up to a thousand."""
        return len(self._texts)

    def first(self, count: int) -> tuple[str, ...]:
        """Return the oldest problems."""
        return tuple(self._texts.values())[:count]
