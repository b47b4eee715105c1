"""Signs of life: each worker tells the first process that it is not stuck, and asks to leave."""

from __future__ import annotations

import asyncio
from typing import Final

from pds.peers.calls import HasPeers, by_first

BEAT_S: Final = 1.0


@by_first
async def beat(ctx: HasPeers, worker: int) -> None:
    """Tell the first process that a worker answers requests."""
    ctx.peers.heard_from(worker)


async def go_on_beating(ctx: HasPeers, worker: int) -> None:
    """Tell it every `BEAT_S` seconds, until cancelled. Raises `PeerGone`."""
    while True:
        await beat(ctx, worker)
        await asyncio.sleep(BEAT_S)


@by_first
async def leave(ctx: HasPeers, worker: int) -> None:
    """Wait until a worker that has no more requests may end. Raises `PeerGone`."""
    await ctx.peers.may_leave(worker)
