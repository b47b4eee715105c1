"""The preferences of an account."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pds.peers.calls import by_owner

if TYPE_CHECKING:
    from pds.context import AppContext


@by_owner
async def put_preferences(
    ctx: AppContext, did: str, preferences: Sequence[dict[str, Any]], *, full_access: bool
) -> None:
    """Replace an account's preferences. Raises what `PreferenceTransactor.put` raises."""
    await ctx.actor_store.transact(
        did, lambda actor: actor.pref.put(preferences, full_access=full_access)
    )
