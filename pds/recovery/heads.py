"""Comparing the heads that listRepos shows with the stores, at start.

Heads are written up to a second after their commits, or much later if another process locks the
service database. That database may also have been restored to an older state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actor_store.errors import ActorStoreError
from database.errors import DatabaseError, DatabaseFull, DatabaseOutOfFiles
from pds.recovery.stores import find_told_rev, list_head

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pds.accounts.account import ActorAccount
    from pds.context import AppContext


async def mend_heads(ctx: AppContext, accounts: Iterable[ActorAccount]) -> int:
    """Compare the head of every account with the log, and with its store where they differ.

    Return how many stores were read. Opening a store takes a hundred times as long as querying the
    log, which takes some 40 microseconds. Raises `DatabaseFull` and `DatabaseOutOfFiles`.
    """
    looked_at = 0
    for account in accounts:
        if _may_be_behind(ctx, account):
            await _compare(ctx, account.did)
            looked_at += 1
    return looked_at


async def _compare(ctx: AppContext, did: str) -> None:
    try:
        head = await ctx.actor_store.read_one(did, lambda actor: actor.repo.head())
    except (DatabaseFull, DatabaseOutOfFiles):
        raise
    except (ActorStoreError, DatabaseError):
        return  # The first use of the store reports the damage to the operator.
    list_head(ctx, did, head)


def _may_be_behind(ctx: AppContext, account: ActorAccount) -> bool:
    # Imports into a deactivated account are not in the log.
    if account.deactivated_at is not None:
        return True
    root = ctx.accounts.repo_roots.find(account.did)
    return root is None or root[1] != find_told_rev(ctx, account.did)
