"""Formatting for people: counts, sizes, progress, untrusted text."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, TypeAlias

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with the name of a step, the parts done, and the number of parts; 0 if that is unknown."""

_EXAMPLES: Final = 3
_UNITS: Final = ("B", "kB", "MB", "GB", "TB", "PB")
_FACTORS: Final = {
    "": 1,
    "b": 1,
    **{f"{prefix}b": 1000**power for power, prefix in enumerate("kmgtp", 1)},
    # As in `du -h` and systemd.
    **{prefix: 1024**power for power, prefix in enumerate("kmgtp", 1)},
    **{f"{prefix}ib": 1024**power for power, prefix in enumerate("kmgtp", 1)},
}
_SIZE: Final = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,6})?)\s*([A-Za-z]{0,3})", re.ASCII)
_MOST: Final = 2**63 - 1


def no_progress(step: str, done: int, total: int) -> None:
    """Ignore progress."""


def printable(text: str) -> str:
    """Return `text` in one line, with unprintable characters escaped as in Python.

    These include characters that move the cursor, end the line, or change the text direction.
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
        """Add a fault."""
        self.count += 1
        if len(self.examples) < _EXAMPLES:
            self.examples.append(name)

    def update(self, names: Iterable[str]) -> None:
        """Add several faults."""
        for name in names:
            self.add(name)

    def __bool__(self) -> bool:
        return self.count > 0

    def __str__(self) -> str:
        """Return text such as `a, b, c and 7 more`."""
        rest = self.count - len(self.examples)
        return ", ".join(self.examples) + (f" and {rest} more" if rest else "")


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return text such as `1 block` or `2,000 blocks`; `plural` is for nouns like `push`."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def format_size(size_bytes: int) -> str:
    """Return a number of bytes in about three digits: `999 B`, `1.5 MB`, `120 GB`."""
    if size_bytes < 1000:
        return f"{size_bytes} B"
    power = min((len(str(size_bytes)) - 1) // 3, len(_UNITS) - 1)
    value = size_bytes / 1000**power
    return f"{value:.1f} {_UNITS[power]}" if value < 100 else f"{value:.0f} {_UNITS[power]}"


def format_ago(at_s: float | None) -> str:
    """Return how long ago a time in Unix seconds is: `5 s ago`, `3 hours ago`; None is `never`."""
    if at_s is None:
        return "never"
    seconds = max(0, int(time.time() - at_s))
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit} ago"
    return f"{seconds} s ago"


def parse_size(text: str) -> int:
    """Return the number of bytes of a size such as `10GB`, `1.5 GiB` or `4096`.

    Units are powers of 1000, or of 1024 (`MiB`, or `M`). Raises `ValueError` for what is not a
    size, or larger than any file system.
    """
    match = _SIZE.fullmatch(text.strip())
    factor = _FACTORS.get(match[2].lower()) if match else None
    if match is None or factor is None:
        raise ValueError(f'"{text}" is not a size such as 500MB, 2.5GiB or 1000000')
    size = int(Decimal(match[1]) * factor)
    if size > _MOST:
        raise ValueError(f'"{text}" is more than any disk holds')
    return size
