"""The result of an examination, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from pds.doctor.finding import Finding, Status


@dataclass(slots=True, frozen=True)
class Report:
    """Findings in the order of the checks."""

    findings: tuple[Finding, ...]

    @classmethod
    def of(cls, findings: Iterable[Finding]) -> Report:
        """Collect findings."""
        return cls(tuple(findings))

    @property
    def problems(self) -> tuple[Finding, ...]:
        """Warnings and errors."""
        return tuple(finding for finding in self.findings if finding.is_problem)

    def count(self, status: Status) -> int:
        """Return how many findings have a status."""
        return sum(finding.status == status for finding in self.findings)

    @property
    def exit_status(self) -> int:
        """0 if there is no error, else 1."""
        return 1 if self.count("error") else 0

    def to_json(self) -> dict[str, Any]:
        """Return one object: `healthy`, `summary` (findings by status) and `findings`."""
        statuses: tuple[Status, ...] = ("ok", "warning", "error", "skipped")
        return {
            "healthy": self.exit_status == 0,
            "summary": {status: self.count(status) for status in statuses},
            "findings": [asdict(finding) for finding in self.findings],
        }
