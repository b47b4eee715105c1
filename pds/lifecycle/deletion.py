"""Deleting an account with all it has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pds.accounts.errors import AccountNotFound
from pds.lifecycle.changes import finish_deletion, journaled
from pds.pending.journal import Entry

if TYPE_CHECKING:
    from pds.context import AppContext
    from repo.syntax import Did


async def delete_account(ctx: AppContext, did: Did) -> None:
    """Delete account, repository, blobs and events; the event that says so is all that stays.

    Once this has begun it is finished, if need be by the next start. Raises `AccountNotFound` for a
    DID that has neither an account nor a repository here, and `DatabaseError`, after which it goes
    on in the background.
    """
    account = ctx.accounts.find_account(did, include_inactive=True)
    if account is None and not ctx.actor_store.exists(did):
        # The event would make others drop what this DID has at another server.
        raise AccountNotFound("Account not found")
    async with journaled(ctx, Entry("delete", did)):
        await finish_deletion(ctx, did)
