"""Finding the account that a request acts as or changes, and checking its state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pds.accounts.errors import AccountDeactivated, AccountTakendown, ActorNotFound

if TYPE_CHECKING:
    from pds.accounts.account import ActorAccount
    from pds.accounts.errors import AccountNotFound
    from pds.context import AppContext


def get_acting_account(
    ctx: AppContext,
    identifier: str,
    *,
    absent: AccountNotFound | None = None,
    hide_takendown: bool = False,
    refuse_takendown: bool = False,
    refuse_deactivated: bool = False,
) -> ActorAccount:
    """Return the account with a DID or handle, if it may act in its current state.

    Raises `absent` if there is no account, or if it is hidden: this is the method's error for an
    unknown account, by default `ActorNotFound`. Raises `AccountTakendown` and `AccountDeactivated`
    where these states are refused.
    """
    account = ctx.accounts.find_account(identifier, include_inactive=True)
    if account is None or (hide_takendown and account.takedown_ref is not None):
        raise ActorNotFound if absent is None else absent
    if refuse_takendown and account.takedown_ref is not None:
        raise AccountTakendown
    if refuse_deactivated and account.deactivated_at is not None:
        raise AccountDeactivated
    return account
