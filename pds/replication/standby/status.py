"""What a standby says about itself: `standby.json`, which it replaces each second."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

FRESH_S: Final = 15.0
"""A status older than this is that of a process that hangs or is gone."""
_MAX_BYTES: Final = 256 << 10

State: TypeAlias = Literal[
    "starting", "copying", "following", "unreachable", "stopped", "promoting", "failed"
]
"""`copying`: it does not have everything yet. `unreachable`: it goes on trying."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StandbyStatus:
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
        if self.state in ("stopped", "failed") or abs(time.time() - self.written_s) > FRESH_S:
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True

    def to_json(self) -> dict[str, Any]:
        """Return the contents of the file, as values of JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Any) -> StandbyStatus:
        """Inverse of `to_json`. Raises `ValueError` for anything else."""
        try:
            fields = dict(value)
            problems = tuple((subject, text) for subject, text in fields["problems"])
            return cls(**{**fields, "problems": problems})
        except (TypeError, KeyError, ValueError) as exc:
            raise ValueError(f"not a status of a standby: {exc}") from exc


def write_status(path: Path, status: StandbyStatus) -> None:
    """Replace the file. On failure, such as a full disk, the old one stays."""
    new = path.with_name(f"{path.name}.new")
    with suppress(OSError):
        new.write_text(json.dumps(status.to_json()), "utf-8")
        new.replace(path)


def read_status(path: Path) -> StandbyStatus | None:
    """Return the newest status; None if there is none, or none that can be read."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        return None if len(data) > _MAX_BYTES else StandbyStatus.from_json(json.loads(data))
    except (OSError, ValueError):
        return None
