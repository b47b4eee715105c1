"""Metrics of replication, from the status file of `pds replicate`."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import Metric

from pds.config import Settings
from pds.metrics.families import counter, counters, gauge, gauges
from pds.replication.options import STATUS_FILE
from pds.replication.status import ReplicationStatus, read_status


def replication_families(settings: Settings) -> Iterator[Metric]:
    """Collect what the file says; nothing where no replication is asked for. Reads a small file."""
    status = read_status(settings.data_directory / STATUS_FILE)
    if status is None and settings.replication.url is None:
        return
    is_up = status is not None and status.is_alive and status.state == "running"
    yield gauge("replication_up", "Whether replication runs and reaches the replica.", float(is_up))
    if status is None or not status.is_alive:
        # Nothing is known: old figures would look like good ones.
        return
    yield from _families(status)


def _families(status: ReplicationStatus) -> Iterator[Metric]:
    actors = status.actors
    databases = {each.name.removesuffix(".sqlite"): each for each in status.databases}
    lags = {name: each.lag_s for name, each in databases.items()}
    yield gauges(
        "replication_lag_seconds",
        "Age of the oldest change that is not in the replica; 0 if all are.",
        "database",
        {**lags, "actors": actors.oldest_unsynced_s},
    )
    yield gauges(
        "replication_last_sync_timestamp_seconds",
        "When a database was last compared with the replica.",
        "database",
        {
            name: each.last_synced_s
            for name, each in databases.items()
            if each.last_synced_s is not None
        },
    )
    yield gauges(
        "replication_accounts",
        "Accounts: all, those with a change to send, failing ones, and those held open.",
        "state",
        {
            "known": actors.known,
            "waiting": actors.dirty,
            "failing": actors.failing,
            "hot": actors.hot,
        },
    )
    yield counters(
        "replication_daemon_restarts",
        "Restarts of Litestream since replication was started.",
        "daemon",
        {each.name: each.restarts for each in status.daemons},
    )
    yield counter("replication_syncs", "Databases sent to the replica.", status.totals.syncs)
    yield counter("replication_failed_syncs", "Attempts that failed.", status.totals.failed_syncs)
