"""Changing and confirming the e-mail address of an account, for clients and on pages.

Codes by mail go on to the address that the owner is known to read until the new one is confirmed.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pds.accounts.errors import TokenRequired

if TYPE_CHECKING:
    from pds.accounts.account import ActorAccount
    from pds.context import AppContext
    from repo.syntax import Did


def needs_leave(ctx: AppContext, account: ActorAccount) -> bool:
    """Whether the address before has to agree, by a mailed token, to another one."""
    if account.email is None:
        return False
    mails_codes = ctx.second_factors.mailed.since(account.did) is not None
    return mails_codes or account.email_confirmed_at is not None


async def confirm_address(ctx: AppContext, did: Did, email: str, token: str) -> None:
    """Mark the address of the account as confirmed. Raises what `Emails.confirm` raises."""
    await ctx.accounts.emails.confirm(did, email, token)
    await ctx.second_factors.forget_kept_address(did)


async def change_email(
    ctx: AppContext, account: ActorAccount, email: str, *, token: str | None
) -> None:
    """Give the account an unconfirmed address.

    Raises `TokenRequired`, and what `Emails.change` raises.
    """
    keep = None
    if needs_leave(ctx, account):
        if not token:
            raise TokenRequired
        keep = partial(ctx.second_factors.keep_address, account, instead_of=email)
    await ctx.accounts.emails.change(account.did, email, token=token, also=keep)
