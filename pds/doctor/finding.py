"""`Finding`: the result of one check on one subject."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Status: TypeAlias = Literal["ok", "warning", "error", "skipped"]
"""An error needs fixing, a warning needs attention, and skipped means not checked."""


@dataclass(slots=True, frozen=True)
class Finding:
    """One result: `check` names the check, `subject` the file, DID or setting it is about."""

    check: str
    subject: str
    status: Status
    message: str
    remedy: str = ""
    """What to do; empty if nothing needs to be done."""

    @classmethod
    def ok(cls, check: str, subject: object, message: str) -> Finding:
        """Return a finding for a check that passed."""
        return cls(check, str(subject), "ok", message)

    @classmethod
    def skipped(cls, check: str, subject: object, message: str) -> Finding:
        """Return a finding for a check that was not made; `message` says why."""
        return cls(check, str(subject), "skipped", message)

    @classmethod
    def warning(cls, check: str, subject: object, message: str, remedy: str) -> Finding:
        """Return a finding for something that works, but not as it should."""
        return cls(check, str(subject), "warning", message, remedy)

    @classmethod
    def error(cls, check: str, subject: object, message: str, remedy: str) -> Finding:
        """Return a finding for something that does not work, or data that is lost or wrong."""
        return cls(check, str(subject), "error", message, remedy)

    @property
    def is_problem(self) -> bool:
        """Whether an operator should read it."""
        return self.status in ("warning", "error")
