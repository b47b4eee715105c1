"""Deleting an account with all it has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pds.recovery.changes import finish_deletion, journaled
from pds.recovery.journal import Entry

if TYPE_CHECKING:
    from pds.context import AppContext
    from repo.syntax import Did


async def delete_account(ctx: AppContext, did: Did) -> None:
    """Delete account, repository, blobs and events; the event that says so is all that stays.

    Once this has begun it is finished, if need be by the next start. An unknown DID is fine.
    Raises `DatabaseError`, after which it goes on in the background.
    """
    async with journaled(ctx, Entry("delete", did)):
        await finish_deletion(ctx, did)
