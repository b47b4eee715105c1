"""The room that single accounts take, and may take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from actor_store.errors import ActorStoreDamaged, RepoNotFound
from actor_store.usage import Usage
from pds.accounts.account import ActorAccount

if TYPE_CHECKING:
    from pds.context import AppContext


@dataclass(slots=True, frozen=True)
class AccountUsage:
    """One account."""

    account: ActorAccount
    usage: Usage | None
    """None if its files are damaged or gone."""
    quota_bytes: int | None
    """None: no limit."""
    quota_is_own: bool
    """Whether the quota is not the default one."""

    def to_json(self) -> dict[str, Any]:
        """As operators get it."""
        usage = self.usage
        return {
            "did": self.account.did,
            "handle": self.account.handle,
            "status": self.account.status,
            "usedBytes": usage and usage.used_bytes,
            "databaseBytes": usage and usage.database_bytes,
            "blobBytes": usage and usage.blob_bytes,
            "records": usage and usage.records,
            "blobs": usage and usage.blobs,
            "quotaBytes": self.quota_bytes,
            "quotaIsOwn": self.quota_is_own,
        }


async def read_account_usage(ctx: AppContext, account: ActorAccount) -> AccountUsage:
    """The usage of an account, counted in a thread."""
    try:
        usage = await ctx.actor_store.read_in_thread(account.did, lambda actor: actor.usage.read())
    except (RepoNotFound, ActorStoreDamaged):
        usage = None
    return AccountUsage(
        account,
        usage,
        quota_bytes=ctx.actor_store.find_quota(account.did),
        quota_is_own=ctx.accounts.quotas.find(account.did) is not None,
    )
