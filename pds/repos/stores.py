"""Files of actors, to which several processes come: deleted, replaced, reserved for one to come."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pds.peers.calls import by_all, by_first

if TYPE_CHECKING:
    from pds.context import AppContext
    from repo.syntax import Did


async def destroy(ctx: AppContext, did: Did) -> None:
    """Delete an actor: database, signing key, blobs. An absent one is ignored."""
    await ctx.actor_store.destroy(did)
    # A process that has the old file open would go on reading it.
    await _let_go(ctx, did)


async def use_new_key(ctx: AppContext, did: Did) -> None:
    """Make every process sign with the key that is in the actor's key file now."""
    await _forget_key(ctx, did)


@by_first
async def reserve_key(ctx: AppContext, did: str | None, *, holder: str) -> str:
    """Reserve a signing key for `holder`, and return its did:key.

    In turn, because each waits for the disk, and in one process, which counts what each holder has.

    Raises `TooBusy`, and what `SigningKeys.reserve` raises.
    """
    async with ctx.reserving.turn(holder):
        key = await asyncio.to_thread(ctx.actor_store.keys.reserve, did, holder=holder)
    return key.did_key


@by_all
async def _let_go(ctx: AppContext, did: Did) -> None:
    ctx.actor_store.let_go(did)
    ctx.accounts.repo_roots.forget(did)


@by_all
async def _forget_key(ctx: AppContext, did: Did) -> None:
    ctx.actor_store.keys.forget(did)
