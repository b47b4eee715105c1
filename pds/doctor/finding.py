"""`Finding`: what one check says about one thing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Status: TypeAlias = Literal["ok", "warning", "error", "skipped"]
"""An error needs mending; a warning needs a look; skipped could not be or was not checked."""


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
