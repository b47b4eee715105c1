"""Handles, addresses and DIDs that are free, and those that an account has in whatever state."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from pds.accounts.accounts import Accounts
from pds.accounts.availability import (
    check_did_free,
    check_email_free,
    check_email_free_for,
    check_handle_free,
    check_handle_free_for,
)
from pds.accounts.errors import AccountExists, EmailTaken, HandleNotAvailable, HandleTaken
from tests.pds.accounts.conftest import ALICE, BOB, MakeAccount

States = Callable[[Accounts], Awaitable[object]]

in_every_state = pytest.mark.parametrize(
    "change",
    [
        lambda accounts: accounts.states.activate(ALICE),
        lambda accounts: accounts.states.deactivate(ALICE),
        lambda accounts: accounts.states.takedown(ALICE),
    ],
    ids=["active", "deactivated", "taken down"],
)


@in_every_state
async def test_what_an_account_has_is_taken_in_every_state_and_letter_case(
    accounts: Accounts, make_account: MakeAccount, change: States
) -> None:
    await make_account(password="alice-password", email="alice@example.com")
    await change(accounts)
    with pytest.raises(AccountExists):
        check_did_free(accounts.store, ALICE)
    with pytest.raises(HandleTaken):
        check_handle_free(accounts.store, "Alice.test")
    with pytest.raises(EmailTaken, match="already in use"):
        check_email_free(accounts.store, "ALICE@example.com")
    with pytest.raises(EmailTaken, match="in our words"):
        check_email_free(accounts.store, "alice@example.com", message="in our words")
    with pytest.raises(HandleNotAvailable):
        check_handle_free_for(accounts.store, BOB, "Alice.test")
    with pytest.raises(EmailTaken):
        check_email_free_for(accounts.store, BOB, "ALICE@example.com")


@in_every_state
async def test_an_account_s_own_handle_and_address_are_free_for_it(
    accounts: Accounts, make_account: MakeAccount, change: States
) -> None:
    await make_account(password="alice-password", email="alice@example.com")
    await change(accounts)
    check_handle_free_for(accounts.store, ALICE, "alice.test")
    check_email_free_for(accounts.store, ALICE, "alice@example.com")


def test_what_no_account_has_is_free(accounts: Accounts) -> None:
    check_did_free(accounts.store, BOB)
    check_handle_free(accounts.store, "bob.test")
    check_email_free(accounts.store, "bob@example.com")
