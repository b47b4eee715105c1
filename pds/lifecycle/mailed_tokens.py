"""Tokens sent by mail, which prove that the bearer can read the account's mail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pds.accounts.email_tokens import EmailTokenPurpose
from pds.accounts.errors import NoEmailAddress

if TYPE_CHECKING:
    from pds.accounts.account import ActorAccount
    from pds.context import AppContext


async def send_token(ctx: AppContext, account: ActorAccount, purpose: EmailTokenPurpose) -> str:
    """Mail a new token to the account's address, which voids an earlier token for `purpose`.

    One for a change of address goes where codes of a second factor go. Returns the address. Raises
    `NoEmailAddress`, and `MailNotSent`, after which the call may be repeated.
    """
    address = account.email
    if purpose is EmailTokenPurpose.UPDATE_EMAIL:
        address = ctx.second_factors.addresses.of(account)
    if address is None:
        raise NoEmailAddress
    token = await ctx.accounts.email_tokens.create(account.did, purpose)
    await ctx.mailer.send_token(purpose, account, address, token)
    return address
