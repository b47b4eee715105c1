"""Recovery after a worker has ended in the middle of its work, while the others go on.

Nobody else writes its actors, and it is not replaced before this is done. What it had committed to
a store and not yet sent to the log is told now, as after a crash of the whole server.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import structlog

from pds.lifecycle.changes import changes_under_way, settle_later
from pds.peers.peers import owner_number
from pds.recovery.changed_files import find_stores
from pds.recovery.stores import mend_store

if TYPE_CHECKING:
    from pds.context import AppContext

_MARGIN_S: Final = 90.0
"""How much longer than it may hang before it is killed a worker may have had a commit that it has
not told of: as long as a start takes, and as clocks of files may be off."""

_log = structlog.get_logger(__name__)


async def mend_after(ctx: AppContext, worker: int, *, workers: int) -> None:
    """Make the log and the stores of an ended worker agree, and settle its interrupted changes.

    Raises `DatabaseError` if the log cannot be written.
    """
    started = time.monotonic()
    window_s = ctx.settings.service.worker_timeout_ms / 1000 + _MARGIN_S
    files = await asyncio.to_thread(find_stores, ctx.actor_store.layout)
    suspects = [
        did
        for did in files.changed_since(time.time() - window_s)
        if owner_number(did, workers) == worker
    ]
    mended = 0
    for did in suspects:
        account = ctx.accounts.find_account(did, include_inactive=True)
        if account is not None:
            await mend_store(ctx, account, may_lack_commits=False)
            mended += 1
    # Before the worker is replaced: the next one may write newer heads.
    await ctx.accounts.repo_roots.flush()
    await _settle_interrupted(ctx)
    _log.info(
        "stores of a worker were compared and repaired",
        worker=worker,
        stores_checked=mended,
        took_ms=round((time.monotonic() - started) * 1000),
    )


async def _settle_interrupted(ctx: AppContext) -> None:
    """Settle the changes that are journaled and that no process is making."""
    # Read first: what begins afterwards is nobody's left-over.
    entries = ctx.unfinished.journal.entries()
    under_way = {entry for entries in await changes_under_way(ctx) for entry in entries}
    for entry in entries:
        if entry.kind != "damaged" and entry not in under_way:
            _log.info("settling an interrupted change", did=entry.did, kind=entry.kind)
            settle_later(ctx, entry)
