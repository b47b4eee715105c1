"""Tokens sent by mail, which prove that the bearer can read the account's mail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pds.accounts.errors import NoEmailAddress

if TYPE_CHECKING:
    from pds.accounts.account import ActorAccount
    from pds.accounts.email_tokens import EmailTokenPurpose
    from pds.context import AppContext


async def send_token(ctx: AppContext, account: ActorAccount, purpose: EmailTokenPurpose) -> None:
    """Mail a new token to the account's address, which voids an earlier token for `purpose`.

    Raises `NoEmailAddress`, and `MailNotSent`, after which the call may be repeated.
    """
    if account.email is None:
        raise NoEmailAddress
    token = await ctx.accounts.email_tokens.create(account.did, purpose)
    await ctx.mailer.send_token(purpose, account, account.email, token)
