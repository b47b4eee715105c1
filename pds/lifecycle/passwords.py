"""Setting a forgotten password, and telling the account's owner of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from pds.accounts.errors import UnknownAccount
from pds.accounts.hashing import Asker
from pds.lifecycle.acting import get_acting_account
from pds.mail.message import InvalidMail
from pds.mail.transport import MailNotSent

if TYPE_CHECKING:
    from pds.context import AppContext
    from repo.syntax import Did

_log = structlog.get_logger(__name__)


async def reset_password(ctx: AppContext, token: str, password: str, *, asker: Asker) -> None:
    """Set the password of the account that a token was mailed to, end its sessions, and mail it.

    Raises `InvalidPasswordLength`, `InvalidToken`, `ExpiredToken` or `TooBusy`.
    """
    did = await ctx.accounts.passwords.reset(token, password, asker=asker)
    await tell_owner(ctx, did)


async def tell_owner(ctx: AppContext, did: Did) -> None:
    """Mail an account about its new password, and the app passwords that still work."""
    account = get_acting_account(ctx, did, absent=UnknownAccount())
    if account.email is None:
        return
    app_passwords = ctx.accounts.app_passwords.list(did)
    try:
        await ctx.mailer.send_password_changed(account, account.email, app_passwords)
    except (InvalidMail, MailNotSent) as exc:
        # The password is set and its token used up, so the request has not failed.
        _log.warning(
            "an account could not be notified of its new password", did=did, reason=str(exc)
        )
