"""Accounts as moderators see them: com.atproto.admin.defs#accountView."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pds.accounts.account import ActorAccount
from pds.accounts.invites import InviteCode
from pds.accounts.manager import AccountManager


def account_views(accounts: AccountManager, dids: Sequence[str]) -> list[dict[str, Any]]:
    """The views of those of `dids` that have an account, in any state.

    However many there are, it takes a few statements for each 500 of them.
    """
    wanted = list(dict.fromkeys(dids))
    found = accounts.store.find_many(wanted)
    invites = accounts.invites.of_accounts(list(found))
    invited_by = accounts.invites.used_by(list(found))
    return [
        _account_view(found[did], invites.get(did, []), invited_by.get(did))
        for did in wanted
        if did in found
    ]


def _account_view(
    account: ActorAccount, invites: list[InviteCode], invited_by: InviteCode | None
) -> dict[str, Any]:
    view: dict[str, Any] = {
        "did": account.did,
        "handle": account.shown_handle,
        "indexedAt": account.created_at,
        "invites": [code.to_json() for code in invites],
        "invitesDisabled": account.invites_disabled,
    }
    optional = {
        "email": account.email,
        "emailConfirmedAt": account.email_confirmed_at,
        "deactivatedAt": account.deactivated_at,
        "invitedBy": None if invited_by is None else invited_by.to_json(),
    }
    view.update((name, value) for name, value in optional.items() if value is not None)
    return view
