"""Storage used by single accounts, and their quotas."""

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
    """The storage usage and quota of one account."""

    account: ActorAccount
    usage: Usage | None
    """None if the account's files are damaged or missing."""
    quota_bytes: int | None
    """None means no limit."""
    quota_is_own: bool
    """Whether the account has a quota of its own rather than the default one."""

    def to_json(self) -> dict[str, Any]:
        """Return the form shown to operators."""
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
    """Return the usage of an account, counted in a thread."""
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
