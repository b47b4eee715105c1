"""What is restored, and as of when."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

MAX_PARALLEL: Final = 64
"""Most accounts restored at once: each has some files in memory."""
_FEW: Final = 200
"""Up to so many accounts, listing their directories one by one is quicker than listing all."""


def _usual_parallelism() -> int:
    # Most of the time of a small account is waiting for the place, so more than there are cores.
    return min(MAX_PARALLEL, 8 * (len(os.sched_getaffinity(0)) or 1))


@dataclass(slots=True, frozen=True)
class RestoreOptions:
    """What is restored. All of it by default, as new as the replica has it."""

    dids: frozenset[str] | None = None
    """Only these accounts; None for all."""
    services: bool = True
    """Also the databases of the server itself; without them, `dids` must be given."""
    keys: bool = True
    """Also signing keys and `hold.env`."""
    blobs: bool = True
    """Also blobs, if the target has a directory for them and the replica has any."""
    as_of_ms: int | None = None
    """The time of the state to restore, in Unix milliseconds; None for the newest."""
    parallelism: int = field(default_factory=_usual_parallelism)
    """How many accounts are restored at once; 1 to `MAX_PARALLEL`."""

    def __post_init__(self) -> None:
        """Raise `ValueError` for options that make no sense."""
        if not 1 <= self.parallelism <= MAX_PARALLEL:
            raise ValueError(f"parallelism must be 1 to {MAX_PARALLEL}")
        if self.dids is None and not self.services:
            raise ValueError("without the databases of the server, name the accounts to restore")

    @property
    def few_dids(self) -> list[str] | None:
        """The accounts, if they are so few that their directories are listed one by one."""
        return None if self.dids is None or len(self.dids) > _FEW else sorted(self.dids)

    def to_json(self) -> dict[str, object]:
        """Return what must be the same for an interrupted restore to go on."""
        return {
            "dids": None if self.dids is None else sorted(self.dids),
            "services": self.services,
            "keys": self.keys,
            "blobs": self.blobs,
            "asOf": None if self.as_of_ms is None else time_text(self.as_of_ms),
        }


def time_text(time_ms: int) -> str:
    """Return a time in Unix milliseconds as ISO 8601, UTC, for people and JSON."""
    when = datetime.fromtimestamp(time_ms / 1000, UTC)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
