"""The odd records of a repository, which are kept unchanged and reported."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from pds.reporting import counted
from repo.mst import TreeRecord
from repo.odd_record import find_oddity

_MAX_EXAMPLES: Final = 100


@dataclass(slots=True)
class Oddities:
    """The number of odd records, and the reasons for the first 100."""

    count: int = 0
    examples: list[str] = field(default_factory=list)

    def look_at(self, record: TreeRecord, block: bytes) -> None:
        """Count a record if it is odd."""
        reason = find_oddity(block, record.key.partition("/")[0])
        if reason is None:
            return
        self.count += 1
        if self.count <= _MAX_EXAMPLES:
            self.examples.append(f"record {record.key} ({record.cid}) is odd: {reason}")

    def lines(self) -> list[str]:
        """Return the report, one line each."""
        more = self.count - len(self.examples)
        return [*self.examples, *([f"and {counted(more, 'odd record')} more"] if more else [])]
