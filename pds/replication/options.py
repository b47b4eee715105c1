"""What a supervisor is told at its start: a plain value, so that nothing here reads settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pds.replication.replica.lease import LeaseTimes

if TYPE_CHECKING:
    from pds.replication.replica.url import ReplicaUrl

LEDGER_FILE: Final = "replication.sqlite"
STATUS_FILE: Final = "replication.json"
LOCK_FILE: Final = "replication.lock"
_DAY_S: Final = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SealingOptions:
    """How the signing keys are protected in the replica: exactly one of these is set."""

    passphrase: str | None = None
    recipient: str | None = None
    """An age recipient, `age1…`, whose identity stays with the operator."""
    in_clear: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicationOptions:
    """Everything that `run_supervisor` needs to know."""

    replica: ReplicaUrl
    service_did: str
    """A replica of another server's DID is refused."""
    data_directory: Path
    account_db: Path
    sequencer_db: Path
    did_cache_db: Path
    hold_db: Path
    """Replicated once it exists."""
    actors_directory: Path
    blob_directory: Path | None
    """None if blobs are in S3, where they stay."""
    sealing: SealingOptions
    hot_set: int = 500
    """How many actors' databases Litestream has open at most."""
    idle_s: float = 20.0
    """An actor that has not changed for so long is closed."""
    poll_s: float = 0.25
    """How often the event log is looked at."""
    services_every_s: float = 1.0
    """How often the service databases are looked at."""
    sweep_interval_s: float = 30.0
    """How often the times of the actors' files are looked at."""
    retention_days: float = 7.0
    """How far back a restore may go; deleted files stay in the replica for as long."""
    concurrency: int = 48
    """How many actors are synced at a time."""
    stop_s: float = 20.0
    """How long a stop waits for the last changes of actors to reach the replica…"""
    final_sync_s: float = 10.0
    """… then for those of the service databases…"""
    daemons_stop_s: float = 20.0
    """… and then for Litestream to end."""
    sync_s: float = 60.0
    """How long the sync of a small actor may take."""
    longest_pause_s: float = 30.0
    """The longest time between two tries while the replica cannot be reached."""
    status_every_s: float = 1.0
    """How often the status file is written."""
    lease: LeaseTimes = field(default_factory=LeaseTimes)

    @property
    def retention_s(self) -> float:
        """`retention_days` in seconds."""
        return self.retention_days * _DAY_S

    @property
    def ledger_db(self) -> Path:
        """The ledger: what has reached the replica."""
        return self.data_directory / LEDGER_FILE

    @property
    def status_file(self) -> Path:
        """What the supervisor says about itself, each second."""
        return self.data_directory / STATUS_FILE

    @property
    def lock_file(self) -> Path:
        """Locked by the supervisor of this directory for as long as it runs."""
        return self.data_directory / LOCK_FILE
