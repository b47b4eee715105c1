"""What a worker learns when it joins the server: what the first process found at its start.

A worker joins once it listens to the others, so that it is told of whatever is found afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from pds.peers.calls import by_first

if TYPE_CHECKING:
    from pds.context import AppContext


@dataclass(slots=True, frozen=True)
class Found:
    """What a worker has to know before it answers requests."""

    quarantined: dict[str, str]
    """The actors whose files are left alone: the reason by DID."""
    is_recovered: bool
    """False while a full disk keeps recovery from ending, and repositories are read-only."""


async def join(ctx: AppContext) -> None:
    """Let a worker take part in the server. Raises `PeerGone`."""
    found = await _found_for(ctx, ctx.peers.number)
    for did, reason in found.quarantined.items():
        ctx.actor_store.quarantine(did, reason)
    if found.is_recovered:
        _note_recovery(ctx)
        return
    finish = ctx.unfinished.finish = partial(_finish, ctx)
    ctx.unfinished.retrier.later("recovery", finish)


@by_first
async def _found_for(ctx: AppContext, worker: int | None) -> Found:
    if worker is not None and (link := ctx.peers.worker(worker)) is not None:
        # Messages without an answer are sent only to processes that are connected.
        await link.connect()
    return Found(
        quarantined=dict(ctx.actor_store.quarantined), is_recovered=ctx.unfinished.finish is None
    )


async def _finish(ctx: AppContext) -> None:
    await _finish_in_first(ctx)
    ctx.unfinished.finish = None
    _note_recovery(ctx)


@by_first
async def _finish_in_first(ctx: AppContext) -> None:
    """Complete the recovery. Raises `DatabaseFull` while the disk is full."""
    if ctx.unfinished.finish is not None:
        await ctx.unfinished.finish()


def _note_recovery(ctx: AppContext) -> None:
    ctx.unfinished.finished = True
    # From now on every process writes its heads soon after its commits, so that whichever does so
    # last may note that all are written; recovery looks back much further than that.
    ctx.accounts.repo_roots.mark_complete()
