"""What a supervisor says about itself: a JSON file that it replaces each second.

`pds replicate status`, the server's metrics and `pds doctor` read it.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from pydantic import TypeAdapter

from pds.replication.status_file import Complete, read_contents, replace_contents, still_runs

State: TypeAlias = Literal["starting", "running", "unreachable", "stopping", "stopped", "failed"]
"""`unreachable`: the replica does not answer or takes nothing; the supervisor goes on trying."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseStatus(Complete):
    """One of the databases that are always replicated."""

    name: str
    """Its file name, such as `account.sqlite`."""
    txid: int
    """The newest transaction in the replica, by Litestream's count."""
    lag_s: float
    """Age of the oldest change that is not in the replica; 0 if all are."""
    last_synced_s: float | None
    """Unix seconds."""
    last_error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonStatus(Complete):
    """One Litestream process."""

    name: str
    """`services` or `actors`."""
    pid: int | None
    """None while it does not run."""
    restarts: int
    """How often it ended by itself or hung."""
    renewals: int = 0
    """How often it was replaced because it had too many files open or took too much memory."""
    last_error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorsStatus(Complete):
    """All actors together."""

    known: int = 0
    """Those in the ledger, deleted ones left out."""
    dirty: int = 0
    """Those with a change that is not in the replica, as far as is known."""
    failing: int = 0
    """Those whose last sync failed."""
    deleted: int = 0
    """Deleted ones whose files are still kept in the replica."""
    oldest_unsynced_s: float = 0.0
    """Age of the oldest change that is not in the replica; 0 if there is none."""
    hot: int = 0
    """Those that Litestream has open."""
    hot_set: int = 0
    """How many it may have open."""
    last_sweep_s: float | None = None
    """When the last look at all file times ended, in Unix seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals(Complete):
    """Counts since the supervisor's start."""

    syncs: int = 0
    failed_syncs: int = 0
    events: int = 0
    """Rows of the event log that were followed."""
    sweeps: int = 0
    compactions: int = 0
    keys_copied: int = 0
    blobs_copied: int = 0
    files_deleted: int = 0
    """Files that left the replica with deleted accounts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CopiesStatus(Complete):
    """Files that are copied beside the databases; counts since the supervisor's start."""

    blob_bytes_copied: int = 0
    blobs_waiting: int = 0
    """Those that are not in the replica, as of the last look at all of them."""
    blob_bytes_waiting: int = 0
    blobs_removed: int = 0
    """Copies that left the replica, long after their blobs."""
    failing: int = 0
    """Files that cannot be copied, such as damaged ones; up to a thousand of each kind."""
    error: str | None = None
    """Why nothing can be copied now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LagStatus(Complete):
    """How long changes took to reach the replica, over the last minute; in seconds."""

    changes: int = 0
    p50_s: float = 0.0
    p99_s: float = 0.0
    max_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicationStatus(Complete):
    """The whole file."""

    pid: int
    state: State
    started_s: float
    """Unix seconds, as all times here."""
    written_s: float
    replica: str
    """The URL, without secrets."""
    service_did: str
    server_id: str
    databases: tuple[DatabaseStatus, ...] = ()
    daemons: tuple[DaemonStatus, ...] = ()
    actors: ActorsStatus = field(default_factory=ActorsStatus)
    lag: LagStatus = field(default_factory=LagStatus)
    copies: CopiesStatus = field(default_factory=CopiesStatus)
    totals: Totals = field(default_factory=Totals)
    failing: tuple[tuple[str, str], ...] = ()
    """Some actors whose sync fails, each with its error."""
    warnings: tuple[str, ...] = ()
    """What the operator ought to know, such as that blobs on S3 are not copied."""
    last_error: str | None = None
    last_error_s: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the contents of the file, as values of JSON."""
        return asdict(self)

    @property
    def age_s(self) -> float:
        """How long ago it was written; never negative."""
        return max(0.0, time.time() - self.written_s)

    @property
    def is_alive(self) -> bool:
        """Whether the supervisor that wrote this still runs and writes."""
        has_ended = self.state in ("stopped", "failed")
        return not has_ended and still_runs(self.pid, self.written_s)


_READER: Final = TypeAdapter(ReplicationStatus)


def write_status(path: Path, status: ReplicationStatus) -> None:
    """Replace the file. On failure, such as a full disk, the old one stays."""
    replace_contents(path, status)


def read_status(path: Path) -> ReplicationStatus | None:
    """Return the newest status; None if there is none, or none that can be read."""
    return read_contents(path, _READER)
