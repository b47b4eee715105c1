"""What the server and its commands tell people: counts, progress, text of strangers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with the name of a step, the parts done, and all parts; 0 if their number is unknown."""

_EXAMPLES: Final = 3


def no_progress(step: str, done: int, total: int) -> None:
    """Nobody waits."""


def printable(text: str) -> str:
    """`text` in one line, where what prints nothing is escaped as in Python.

    Among that is what moves the cursor, ends the line, or turns the direction of writing.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


@dataclass(slots=True)
class Sample:
    """Faults of one kind: their number, and the first few by name."""

    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, name: str) -> None:
        """Count a fault."""
        self.count += 1
        if len(self.examples) < _EXAMPLES:
            self.examples.append(name)

    def update(self, names: Iterable[str]) -> None:
        """Count several faults."""
        for name in names:
            self.add(name)

    def __bool__(self) -> bool:
        return self.count > 0

    def __str__(self) -> str:
        """`a, b, c and 7 more`."""
        rest = self.count - len(self.examples)
        return ", ".join(self.examples) + (f" and {rest} more" if rest else "")


def counted(count: int, noun: str) -> str:
    """`1 block`, `2,000 blocks`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
