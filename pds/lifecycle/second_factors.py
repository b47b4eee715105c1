"""Asking for a second factor after the password, the same way for clients and for pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from pds.mail.message import InvalidMail
from pds.mail.transport import MailNotSent
from pds.second_factors.errors import SecondFactorRequired

if TYPE_CHECKING:
    from pds.accounts.account import ActorAccount
    from pds.accounts.hashing import Asker
    from pds.accounts.logins import Login
    from pds.context import AppContext

_log = structlog.get_logger(__name__)


async def check_second_factor(
    ctx: AppContext, login: Login, code: str | None, *, asker: Asker
) -> None:
    """Let a login pass if it needs no second factor, or if `code` is one.

    App passwords need none. Without a code, one is mailed if the account gets mailed codes.
    Raises `SecondFactorRequired`, `WrongCode` or `TooManyWrongCodes`.
    """
    account, factors = login.account, ctx.second_factors
    if login.app_password is not None or not factors.needed(account.did):
        return
    if not code or not code.strip():
        await mail_code(ctx, account)
        raise SecondFactorRequired
    await factors.check_code(account.did, code, place=asker.who)


async def mail_code(ctx: AppContext, account: ActorAccount) -> None:
    """Mail a code to an account, if it gets mailed codes and got none a moment ago.

    Neither the result nor the time taken tells whether a mail is on its way. Raises `TooBusy`.
    """
    if account.email is None or not ctx.second_factors.mails(account.did):
        return
    code = await ctx.second_factors.mailed.create(account.did)
    if code is not None:
        ctx.later.start(_send(ctx, account, account.email, code))


async def _send(ctx: AppContext, account: ActorAccount, email: str, code: str) -> None:
    try:
        await ctx.mailer.send_sign_in_code(account, email, code)
    except (InvalidMail, MailNotSent) as exc:
        _log.warning("a code to sign in could not be mailed", did=account.did, reason=str(exc))
