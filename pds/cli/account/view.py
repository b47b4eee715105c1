"""An account as commands print it, for programs and for people."""

from __future__ import annotations

from pds.accounts.account import ActorAccount


def account_json(account: ActorAccount) -> dict[str, object]:
    """What the list and every change tell of an account."""
    return {
        "did": account.did,
        "handle": account.handle,
        "email": account.email,
        "status": account.status,
        "createdAt": account.created_at,
    }


def status_text(account: ActorAccount, damage: str | None) -> str:
    """Its state, and whether its files are damaged."""
    return account.status if damage is None else f"{account.status}, damaged"
