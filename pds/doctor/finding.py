"""`Finding`: what one check says about one thing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

Status: TypeAlias = Literal["ok", "warning", "error", "skipped"]
"""An error needs mending; a warning needs a look; skipped could not be or was not checked."""

_EXAMPLES: Final = 3


@dataclass(slots=True, frozen=True)
class Finding:
    """`check` names what was looked at, `subject` the file, DID or setting that it is about."""

    check: str
    subject: str
    status: Status
    message: str
    remedy: str = ""
    """What to do; empty where nothing needs to be done."""

    @classmethod
    def ok(cls, check: str, subject: object, message: str) -> Finding:
        """A check that passed."""
        return cls(check, str(subject), "ok", message)

    @classmethod
    def skipped(cls, check: str, subject: object, message: str) -> Finding:
        """A check that was not made; `message` says why."""
        return cls(check, str(subject), "skipped", message)

    @classmethod
    def warning(cls, check: str, subject: object, message: str, remedy: str) -> Finding:
        """Something that works, but not as it should."""
        return cls(check, str(subject), "warning", message, remedy)

    @classmethod
    def error(cls, check: str, subject: object, message: str, remedy: str) -> Finding:
        """Something that does not work, or data that is lost or false."""
        return cls(check, str(subject), "error", message, remedy)

    @property
    def is_problem(self) -> bool:
        """Whether an operator should read it."""
        return self.status in ("warning", "error")


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
    """`1 block`, `2 blocks`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
