"""Accounts as moderators see them: com.atproto.admin.defs#accountView."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pds.accounts.account import ActorAccount

if TYPE_CHECKING:
    from pds.accounts.accounts import Accounts
    from pds.context import AppContext


def account_views(ctx: AppContext, dids: Sequence[str]) -> list[dict[str, Any]]:
    """Return the views of those `dids` that have an account, in any state.

    Takes a few statements, however many there are. Behind an entryway the views have no invite
    codes, since the entryway keeps them.
    """
    wanted = list(dict.fromkeys(dids))
    found = ctx.accounts.store.find_many(wanted)
    views = {did: _account_view(account) for did, account in found.items()}
    if ctx.entryway is None:
        _add_invites(ctx.accounts, found, views)
    return [views[did] for did in wanted if did in views]


def _account_view(account: ActorAccount) -> dict[str, Any]:
    optional = {
        "email": account.email,
        "emailConfirmedAt": account.email_confirmed_at,
        "deactivatedAt": account.deactivated_at,
    }
    return {
        "did": account.did,
        "handle": account.shown_handle,
        "indexedAt": account.created_at,
        **{name: value for name, value in optional.items() if value is not None},
    }


def _add_invites(
    accounts: Accounts, found: Mapping[str, ActorAccount], views: Mapping[str, dict[str, Any]]
) -> None:
    codes = accounts.invites.of_accounts(list(found))
    invited_by = accounts.invites.used_by(list(found))
    for did, account in found.items():
        views[did]["invites"] = [code.to_json() for code in codes.get(did, [])]
        views[did]["invitesDisabled"] = account.invites_disabled
        if did in invited_by:
            views[did]["invitedBy"] = invited_by[did].to_json()
