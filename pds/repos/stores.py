"""Files of an actor that are deleted or replaced, while several processes may have them open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pds.peers.calls import by_all

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


@by_all
async def _let_go(ctx: AppContext, did: Did) -> None:
    ctx.actor_store.let_go(did)


@by_all
async def _forget_key(ctx: AppContext, did: Did) -> None:
    ctx.actor_store.keys.forget(did)
