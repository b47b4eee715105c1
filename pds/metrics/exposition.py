"""Serving the metrics over HTTP, on an address of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, ProcessCollector
from prometheus_client.core import InfoMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from pds.metrics.caches import cache_families
from pds.metrics.joining import join
from pds.metrics.replication import replication_families
from pds.metrics.requests import request_families
from pds.metrics.storage import storage_families
from pds.metrics.writes import event_families, write_families
from pds.peers.calls import by_all

if TYPE_CHECKING:
    from pds.config import Settings
    from pds.context import AppContext
    from pds.disk.survey import Survey


def make_metrics_app(ctx: AppContext) -> web.Application:
    """Return an application that serves `/metrics`."""

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(
            body=await render_metrics(ctx), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    return app


async def render_metrics(ctx: AppContext) -> bytes:
    """Render all metrics as of now, in Prometheus's text format."""
    ctx.storage.refresh()
    # Counters belong to the event loop; system calls and slow work go to a thread.
    parts = await _families_here(ctx)
    return await asyncio.to_thread(_render, parts, ctx.settings, ctx.storage.latest)


@by_all
async def _families_here(ctx: AppContext) -> list[Metric]:
    return [
        *_about(ctx.settings),
        *request_families(ctx.requests),
        *write_families(ctx),
        *event_families(ctx),
        *cache_families(ctx),
        *await asyncio.to_thread(_process_families),
    ]


def _process_families() -> list[Metric]:
    return list(ProcessCollector(registry=None).collect())


def _about(settings: Settings) -> Iterator[Metric]:
    yield InfoMetricFamily(
        "holdfast", "The version that runs.", value={"version": settings.version}
    )


def _render(parts: list[list[Metric]], settings: Settings, survey: Survey | None) -> bytes:
    return generate_latest(
        _Collected(
            chain(
                join(parts),
                storage_families(settings, survey),
                replication_families(settings),
            )
        )
    )


class _Collected(Collector):
    """A collector of families that have been collected already."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        """Return the families."""
        return self._families
