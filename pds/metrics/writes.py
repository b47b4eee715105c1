"""Metrics of writes, events and background queues."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from prometheus_client.core import Metric

from database.connection import WriteCounts
from pds.metrics.families import counter, counters, gauge, gauges
from pds.pending.journal import read_damaged

if TYPE_CHECKING:
    from pds.context import AppContext

_ACTIONS: Final = ("create", "update", "delete")
_EVENT_NAMES: Final = {
    "append": "commit",
    "sync": "sync",
    "identity": "identity",
    "account": "account",
}
"""The event types of the log, with their names on the wire."""


def write_families(ctx: AppContext) -> Iterator[Metric]:
    """Collect the metrics of records, transactions and queues."""
    written = ctx.actor_store.record_writes
    yield counters(
        "record_writes",
        "Records created, updated and deleted.",
        "action",
        {action: written[action] for action in _ACTIONS},
    )
    yield from _transaction_families(
        {
            "account": ctx.accounts.db.counts,
            "sequencer": ctx.sequencer.write_counts,
            "actors": ctx.actor_store.write_counts,
        }
    )
    yield gauges(
        "queue_length",
        "Background work waiting to be written or repaired.",
        "queue",
        {
            "events": ctx.sequencer.waiting_events,
            "repo_heads": ctx.accounts.repo_roots.waiting,
            "checkpoints": ctx.checkpointer.waiting + ctx.actor_store.checkpointer.waiting,
            "mending": ctx.unfinished.retrier.waiting,
        },
    )
    yield counter(
        "uploads_removed",
        "Uploads that no record has come to refer to, removed.",
        ctx.upload_sweep.removed.uploads,
    )
    yield gauge(
        "damaged_accounts",
        "Accounts that are not served because their files are damaged.",
        len(read_damaged(ctx.accounts.db)),
    )


def event_families(ctx: AppContext) -> Iterator[Metric]:
    """Collect the metrics of the event log and its subscribers."""
    sequencer = ctx.sequencer
    counted = sequencer.events_by_type
    yield counters(
        "events",
        "Events put into the log.",
        "type",
        {name: counted[stored] for stored, name in _EVENT_NAMES.items()},
    )
    newest = sequencer.current_seq
    yield gauge("event_seq", "The newest event.", newest)
    yield gauge(
        "event_log_refusing",
        "1 while the log does not take events, and so no writes are taken.",
        sequencer.is_behind,
    )
    yield counter(
        "events_deleted",
        "Events deleted from the log because of their age, or of the size of the log.",
        0 if ctx.retention is None else ctx.retention.deleted,
    )
    positions = sequencer.subscriptions.positions
    live = [newest - at.seq for at in positions if at.live]
    behind = [newest - at.seq for at in positions if not at.live]
    yield gauges(
        "subscribers",
        "Consumers of the firehose: those that have caught up, and those still reading the log.",
        "state",
        {"live": len(live), "backfill": len(behind)},
    )
    yield gauges(
        "subscriber_lag_events",
        "Events that the consumer which is furthest behind has not been sent.",
        "state",
        {"live": max(live, default=0), "backfill": max(behind, default=0)},
    )
    yield counter(
        "subscribers_cut_off",
        "Consumers of the firehose that fell too far behind.",
        sequencer.subscriptions.cut_off,
    )


def _transaction_families(counts: Mapping[str, WriteCounts]) -> Iterator[Metric]:
    yield counters(
        "transactions",
        "Write transactions committed.",
        "database",
        {name: one.committed for name, one in counts.items()},
    )
    yield counters(
        "transaction_seconds",
        "Time spent in them.",
        "database",
        {name: one.seconds for name, one in counts.items()},
    )
    yield counters(
        "database_busy",
        "Times a write transaction found the database locked by another program or thread.",
        "database",
        {name: one.busy for name, one in counts.items()},
    )
