"""Metrics of caches: their contents, hits and misses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import Metric

from pds.metrics.families import counters, gauge, gauges

if TYPE_CHECKING:
    from pds.context import AppContext


def cache_families(ctx: AppContext) -> Iterator[Metric]:
    """Collect the metrics of open actor stores, tree nodes and records as JSON."""
    store = ctx.actor_store
    yield gauge("open_actor_stores", "Actor stores that are open.", len(store.open_stores))
    yield gauge(
        "open_actor_stores_max", "Actor stores that may be open.", store.open_stores.max_open
    )
    lookups = {
        "actor_stores": store.open_stores.lookups,
        "tree_nodes": store.nodes.lookups,
        "records": ctx.record_json.lookups,
    }
    yield counters(
        "cache_hits",
        "Cache hits.",
        "cache",
        {name: one.hits for name, one in lookups.items()},
    )
    yield counters(
        "cache_misses",
        "Cache misses.",
        "cache",
        {name: one.misses for name, one in lookups.items()},
    )
    yield gauges(
        "cache_bytes",
        "Estimated size of what is kept in memory.",
        "cache",
        {"tree_nodes": store.nodes.currsize, "records": ctx.record_json.size_bytes},
    )
