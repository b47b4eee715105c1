"""What a standby says about itself: `standby.json`, which it replaces each second."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from pydantic import TypeAdapter

from pds.replication.status_file import Complete, read_contents, replace_contents, still_runs

State: TypeAlias = Literal[
    "starting", "copying", "following", "unreachable", "stopped", "promoting", "failed"
]
"""`copying`: it does not have everything yet. `unreachable`: it goes on trying."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StandbyStatus(Complete):
    """The whole file. Times are Unix seconds."""

    pid: int
    state: State
    started_s: float
    written_s: float
    source: str
    """The URL of the replica, without secrets."""
    service_did: str
    caught_up_s: float | None = None
    """When it last had everything that the replica's ledger knew of; None: not in this run."""
    newest_s: float | None = None
    """When the newest change that it has was noticed on the primary, by the primary's clock."""
    databases: int = 0
    """How many databases it has."""
    behind: int = 0
    """Accounts that it knows to be behind."""
    unsent: int = 0
    """Accounts with changes that the primary had not sent yet, by its ledger."""
    blobs_behind: bool = False
    applied: int = 0
    """How often accounts were brought further, since the start."""
    deleted: int = 0
    keys_copied: int = 0
    blobs_copied: int = 0
    read_bytes: int = 0
    problems: tuple[tuple[str, str], ...] = ()
    """Some of what is not as new as the replica, and why."""
    last_error: str | None = None
    last_error_s: float | None = None

    @property
    def lag_s(self) -> float | None:
        """For how long it may have lacked something that the replica has; None if unknown."""
        return None if self.caught_up_s is None else max(0.0, time.time() - self.caught_up_s)

    @property
    def is_alive(self) -> bool:
        """Whether the process that wrote this still runs and writes."""
        has_ended = self.state in ("stopped", "failed")
        return not has_ended and still_runs(self.pid, self.written_s)

    def to_json(self) -> dict[str, Any]:
        """Return the contents of the file, as values of JSON."""
        return asdict(self)


_READER: Final = TypeAdapter(StandbyStatus)


def write_status(path: Path, status: StandbyStatus) -> None:
    """Replace the file. On failure, such as a full disk, the old one stays."""
    replace_contents(path, status)


def read_status(path: Path) -> StandbyStatus | None:
    """Return the newest status; None if there is none, or none that can be read."""
    return read_contents(path, _READER)
