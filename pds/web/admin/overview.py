"""`/admin`: the numbers of the server, and small plots of what it has had to do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from pds.administration.whole_server import look_at_firehose, read_samples
from pds.disk.usage import find_disks
from pds.pending.journal import read_damaged
from pds.reporting import format_size
from pds.web.admin.plots import HEIGHT, WIDTH, plots_of

if TYPE_CHECKING:
    from pds.context import AppContext
    from pds.web.admin.desk import AdminVisit, Desk

_DAY_S: Final = 24 * 60 * 60


def overview_routes(desk: Desk) -> Iterator[web.RouteDef]:
    """Yield the page, and the part that its script loads again."""
    yield desk.get("", _show)
    yield desk.part("/now", _show_now)


async def _show(visit: AdminVisit) -> web.StreamResponse:
    return visit.page("overview.html", script="/admin/live.js", **await _numbers(visit))


async def _show_now(visit: AdminVisit) -> web.StreamResponse:
    return visit.page("now.html", **await _numbers(visit))


async def _numbers(visit: AdminVisit) -> dict[str, Any]:
    ctx, day = visit.ctx, visit.query("span") == "day"
    ctx.storage.refresh()
    disks = await asyncio.to_thread(find_disks, ctx.settings)
    mails = visit.admin.mails.counts(seconds=_DAY_S)
    firehose = await look_at_firehose(ctx)
    return {
        "day": day,
        "plots": plots_of(await read_samples(ctx), day=day),
        "width": WIDTH,
        "height": HEIGHT,
        "version": ctx.settings.version,
        "accounts": ctx.accounts.store.count(),
        "newest_seq": firehose.newest_seq,
        "subscribers": len(firehose.subscribers),
        "mails_sent": mails.get("sent", 0),
        "mails_failed": mails.get("failed", 0),
        "disks": [
            {
                "directory": str(disk.directory),
                "free": format_size(disk.free_bytes),
                "total": format_size(disk.total_bytes),
            }
            for disk in disks
        ],
        "failures": await ctx.health.failures(),
        "damaged": len(read_damaged(ctx.accounts.db)),
        "stored": _stored(ctx),
    }


def _stored(ctx: AppContext) -> dict[str, str] | None:
    """Return the sizes of accounts and files, as of some minutes ago; None if not known yet."""
    survey = ctx.storage.latest
    if survey is None:
        return None
    totals = survey.totals
    return {
        "actors": format_size(totals.actor_stores.size_bytes),
        "blobs": "" if totals.blobs is None else format_size(totals.blobs.size_bytes),
    }
