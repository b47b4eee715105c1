"""What the status file says, collected from the parts of a supervisor."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pds.replication.copies.blobs import BLOBS_ON_S3
from pds.replication.status import (
    ActorsStatus,
    CopiesStatus,
    DaemonStatus,
    DatabaseStatus,
    ReplicationStatus,
    State,
    Totals,
)

if TYPE_CHECKING:
    from pds.replication.ledger.ledger import Ledger
    from pds.replication.litestream.daemon import LitestreamDaemon
    from pds.replication.options import ReplicationOptions
    from pds.replication.replica.lease import Lease
    from pds.replication.supervising.parts import Parts
    from pds.replication.supervising.services import ServiceStatus

_FAILING_SHOWN: Final = 20
_PROBLEMS_SHOWN: Final = 10


class StatusCollector:
    """Makes a status of the parts that there are at the moment."""

    def __init__(self, options: ReplicationOptions, ledger: Ledger, lease: Lease) -> None:
        """Begin as one that starts."""
        self._options = options
        self._ledger = ledger
        self._lease = lease
        self._started_s = time.time()
        self.state: State = "starting"
        self.error: str | None = None
        """Why it cannot start, or has failed."""
        self.parts: Parts | None = None

    def collect(self) -> ReplicationStatus:
        """Return the status of now. Raises `DatabaseError`s of the ledger."""
        status = ReplicationStatus(
            pid=os.getpid(),
            state=self.state,
            started_s=self._started_s,
            written_s=time.time(),
            replica=str(self._options.replica),
            service_did=self._options.service_did,
            server_id=self._ledger.server_id,
            actors=self._actors(),
            last_error=self.error,
            last_error_s=None if self.error is None else time.time(),
        )
        return status if self.parts is None else self._with_parts(status, self.parts)

    def _with_parts(self, status: ReplicationStatus, parts: Parts) -> ReplicationStatus:
        is_reachable = parts.actors.is_reachable()
        # What this program says of the place names the remedy; Litestream's messages do not.
        error = self.error or (None if is_reachable else self._error_of_place())
        return replace(
            status,
            state="unreachable" if self.state == "running" and not is_reachable else self.state,
            databases=tuple(map(_database, parts.services.statuses())),
            daemons=tuple(map(_daemon, parts.daemons)),
            lag=parts.queue.lag.status(),
            copies=_copies(parts),
            totals=_totals(parts),
            failing=tuple(self._ledger.actors.failing(limit=_FAILING_SHOWN)),
            warnings=self._warnings(parts),
            last_error=error or parts.actors.last_error,
            last_error_s=time.time() if error else parts.actors.last_error_s,
        )

    def _actors(self) -> ActorsStatus:
        parts, counts = self.parts, self._ledger.actors.counts()
        oldest_ms = counts.oldest_dirty_ms
        return ActorsStatus(
            known=counts.rows - counts.deleted,
            dirty=counts.dirty,
            failing=counts.failing,
            deleted=counts.deleted,
            oldest_unsynced_s=(
                0.0 if oldest_ms is None else max(0.0, round(time.time() - oldest_ms / 1000, 3))
            ),
            hot=0 if parts is None else len(parts.opened.hot),
            hot_set=self._options.hot_set,
            last_sweep_s=None if parts is None else parts.watcher.last_sweep_s,
        )

    def _error_of_place(self) -> str | None:
        """What the last renewal of the lease tells of the place."""
        # A lease is given up at the end of an orderly stop, which says nothing of the place.
        answers = self.state == "stopped" or self._lease.is_held
        silent = None if answers else "the place of the replica does not answer"
        return self._lease.last_error or silent

    def _warnings(self, parts: Parts) -> tuple[str, ...]:
        found = [
            parts.watcher.error,
            parts.watcher.log_error,
            None if parts.compactions.error is None else f"compaction: {parts.compactions.error}",
            BLOBS_ON_S3 if parts.blobs is None else None,
            self._lease.last_error,
        ]
        problems = parts.keys.problems.first(_PROBLEMS_SHOWN)
        if parts.blobs is not None:
            problems += parts.blobs.problems.first(_PROBLEMS_SHOWN)
        return (*(text for text in found if text), *problems)


def _database(status: ServiceStatus) -> DatabaseStatus:
    return DatabaseStatus(
        name=status.name,
        txid=status.txid,
        lag_s=round(status.lag_s, 3),
        last_synced_s=status.synced_at_s,
        last_error=status.error,
    )


def _daemon(daemon: LitestreamDaemon) -> DaemonStatus:
    return DaemonStatus(
        name=daemon.name,
        pid=daemon.pid,
        restarts=daemon.restarts,
        renewals=daemon.renewals,
        last_error=daemon.last_error,
    )


def _copies(parts: Parts) -> CopiesStatus:
    failing, error = len(parts.keys.problems), parts.keys.error
    if parts.blobs is None:
        return CopiesStatus(failing=failing, error=error)
    progress = parts.blobs.progress
    return CopiesStatus(
        blob_bytes_copied=progress.copied_bytes,
        blobs_waiting=progress.waiting,
        blob_bytes_waiting=progress.waiting_bytes,
        blobs_removed=progress.removed,
        failing=failing + len(parts.blobs.problems),
        error=error or parts.blobs.error,
    )


def _totals(parts: Parts) -> Totals:
    return Totals(
        syncs=parts.actors.syncs,
        failed_syncs=parts.actors.failed_syncs,
        events=parts.watcher.events,
        sweeps=parts.watcher.sweeps,
        compactions=parts.compactions.done,
        keys_copied=parts.keys.copied,
        blobs_copied=0 if parts.blobs is None else parts.blobs.progress.copied,
        files_deleted=parts.deletions.files_deleted,
    )
