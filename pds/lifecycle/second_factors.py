"""Asking for a second factor after the password, the same way for clients and for pages."""

from __future__ import annotations

from collections.abc import Coroutine
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import structlog

from pds.fairness.turns import TooBusy
from pds.mail.message import InvalidMail
from pds.mail.transport import MailNotSent
from pds.second_factors.errors import SecondFactorRequired
from pds.translations.language import deferred as _

if TYPE_CHECKING:
    from pds.accounts.account import ActorAccount
    from pds.accounts.hashing import Asker
    from pds.accounts.logins import Login
    from pds.context import AppContext

_NOT_SENT: Final = "a mail about second factors could not be sent"
_log = structlog.get_logger(__name__)


class FactorChange(StrEnum):
    """What the owner of an account is told."""

    APP_SET_UP = _("An authenticator app was set up.")
    APP_REMOVED = _("The authenticator app was removed.")
    PASSKEY_SET_UP = _("A passkey was set up.")
    PASSKEY_REMOVED = _("A passkey was removed.")
    MAIL_ON = _("Codes by mail were turned on.")
    MAIL_OFF = _("Codes by mail were turned off.")
    CODES_RENEWED = _("New recovery codes were made.")
    RESET = _("The operator of the server has removed all second factors.")


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
    address = ctx.second_factors.addresses.of(account)
    if address is None or not ctx.second_factors.mails(account.did):
        return
    code = await ctx.second_factors.mailed.create(account.did)
    if code is not None:
        sending = ctx.mailer.send_sign_in_code(account, address, code)
        ctx.later.start(_send(sending, account))


def tell_owner(ctx: AppContext, account: ActorAccount, change: FactorChange) -> None:
    """Mail the owner of an account what has changed. The change does not wait for the mail."""
    address = ctx.second_factors.addresses.of(account)
    if address is None:
        return
    sending = ctx.mailer.send_factors_changed(account, address, change)
    try:
        ctx.later.start(_send(sending, account))
    except TooBusy as exc:
        _log.warning(_NOT_SENT, did=account.did, reason=str(exc))


async def _send(sending: Coroutine[None, None, None], account: ActorAccount) -> None:
    try:
        await sending
    except (InvalidMail, MailNotSent) as exc:
        _log.warning(_NOT_SENT, did=account.did, reason=str(exc))
