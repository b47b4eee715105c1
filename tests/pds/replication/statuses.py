"""Statuses as a supervisor writes them, for what reads them."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from pds.replication.options import STATUS_FILE
from pds.replication.status import (
    ActorsStatus,
    DaemonStatus,
    DatabaseStatus,
    LagStatus,
    ReplicationStatus,
    Totals,
    write_status,
)

ALICE = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"


def status_of(**changes: Any) -> ReplicationStatus:
    """The status of a supervisor that runs, namely this process, and is up to date."""
    now = time.time()
    names = ("account", "sequencer", "did_cache", "replication")
    status = ReplicationStatus(
        pid=os.getpid(),
        state="running",
        started_s=now - 7_200,
        written_s=now,
        replica="s3://bucket/pds",
        service_did="did:web:pds.example.com",
        server_id="server",
        databases=tuple(
            DatabaseStatus(name=f"{name}.sqlite", txid=7, lag_s=0.0, last_synced_s=now - 1)
            for name in names
        ),
        daemons=(
            DaemonStatus(name="services", pid=101, restarts=0),
            DaemonStatus(name="actors", pid=102, restarts=2, last_error="signal 9"),
        ),
        actors=ActorsStatus(known=1_000, hot=20, hot_set=500, last_sweep_s=now - 5),
        lag=LagStatus(changes=90, p50_s=0.2, p99_s=0.9, max_s=1.4),
        totals=Totals(syncs=5_000, failed_syncs=3, keys_copied=1_000, blobs_copied=40),
    )
    return replace(status, **changes)


def waiting(accounts: int, seconds: float, **more: Any) -> ActorsStatus:
    """Accounts of which some wait to be sent."""
    return ActorsStatus(
        known=1_000, dirty=accounts, oldest_unsynced_s=seconds, hot=20, hot_set=500, **more
    )


def lagging(seconds: float, error: str | None = None) -> tuple[DatabaseStatus, ...]:
    """The event log, behind."""
    return (
        DatabaseStatus(
            name="sequencer.sqlite", txid=7, lag_s=seconds, last_synced_s=None, last_error=error
        ),
    )


def tell(data: Path, **changes: Any) -> ReplicationStatus:
    """Write a status where a supervisor of the data directory does."""
    status = status_of(**changes)
    write_status(data / STATUS_FILE, status)
    return status
