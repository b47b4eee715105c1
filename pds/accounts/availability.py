"""Checks that a DID, handle or email address is free on this server.

Accounts in any state count, because they may become active again. A check before a change only
saves useless work; the check inside the transaction that makes the change is the decisive one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pds.accounts.errors import AccountExists, EmailTaken, HandleNotAvailable, HandleTaken

if TYPE_CHECKING:
    from pds.accounts.account import ActorAccount
    from pds.accounts.account_store import AccountStore


def check_did_free(store: AccountStore, did: str) -> None:
    """Raise `AccountExists` if the DID of a new account already has one here."""
    if store.find(did, include_takendown=True, include_deactivated=True) is not None:
        raise AccountExists(did)


def check_handle_free(store: AccountStore, handle: str) -> None:
    """Raise `HandleTaken` if the handle of a new account is in use."""
    if _find_by_handle(store, handle) is not None:
        raise HandleTaken(handle)


def check_handle_free_for(store: AccountStore, did: str, handle: str) -> None:
    """Raise `HandleNotAvailable` if an account other than `did` has the handle."""
    other = _find_by_handle(store, handle)
    if other is not None and other.did != did:
        raise HandleNotAvailable(f"Handle already taken: {handle}")


def check_email_free(store: AccountStore, email: str, *, message: str | None = None) -> None:
    """Raise `EmailTaken`, with `message`, if the address of a new account is in use."""
    if _find_by_email(store, email) is not None:
        raise EmailTaken if message is None else EmailTaken(message)


def check_email_free_for(store: AccountStore, did: str, email: str) -> None:
    """Raise `EmailTaken` if an account other than `did` has the address."""
    other = _find_by_email(store, email)
    if other is not None and other.did != did:
        raise EmailTaken


def _find_by_handle(store: AccountStore, handle: str) -> ActorAccount | None:
    return store.find_by_handle(handle, include_takendown=True, include_deactivated=True)


def _find_by_email(store: AccountStore, email: str) -> ActorAccount | None:
    return store.find_by_email(email, include_takendown=True, include_deactivated=True)
