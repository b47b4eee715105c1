"""Tokens sent by mail: whoever has one reads the mail of the account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pds.accounts.errors import NoEmailAddress

if TYPE_CHECKING:
    from pds.accounts.account import ActorAccount
    from pds.accounts.email_tokens import EmailTokenPurpose
    from pds.context import AppContext


async def send_token(ctx: AppContext, account: ActorAccount, purpose: EmailTokenPurpose) -> None:
    """Mail a new token to the account's address; an earlier one of the purpose is void.

    Raises `NoEmailAddress`, and `MailNotSent`, after which the whole may be repeated.
    """
    if account.email is None:
        raise NoEmailAddress
    token = await ctx.accounts.email_tokens.create(account.did, purpose)
    await ctx.mailer.send_token(purpose, account, account.email, token)
