"""Making accounts: one transaction, and clashes that undo all of it."""

from __future__ import annotations

import pytest

from pds.accounts.account import AccountStatus, status_of
from pds.accounts.accounts import Accounts
from pds.accounts.errors import (
    AccountError,
    AccountExists,
    EmailTaken,
    HandleTaken,
    InvalidInviteCode,
    InvalidPasswordLength,
)
from pds.accounts.session_tokens import SessionTokens
from pds.accounts.sessions import Session
from tests.pds.accounts.conftest import ALICE, BOB, CID, REV, MakeAccount


async def test_a_new_account_is_active_and_can_log_in(accounts: Accounts, alice: Session) -> None:
    account = accounts.get_account(ALICE)
    assert account.handle == "alice.test"
    assert account.email == "alice@example.com"
    assert account.email_confirmed_at is None
    assert account.created_at == "2027-01-15T08:00:00.000Z"
    assert (account.status, account.active) == (AccountStatus.ACTIVE, True)
    assert (await accounts.logins.check("alice.test", "alice-pass")).account == account
    assert accounts.repo_roots.find(ALICE) == (str(CID), REV)


async def test_the_first_session_can_be_used_and_renewed(
    accounts: Accounts, alice: Session, session_tokens: SessionTokens
) -> None:
    assert session_tokens.verify_access(alice.access_jwt).did == ALICE
    jti = session_tokens.verify_refresh(alice.refresh_jwt).jti
    assert (await accounts.sessions.renew(jti)).did == ALICE


async def test_an_account_without_a_password_has_no_login_and_keeps_no_email(
    accounts: Accounts, make_account: MakeAccount
) -> None:
    await make_account(email="alice@example.com")
    assert accounts.get_account(ALICE).email is None
    assert accounts.find_account_by_email("alice@example.com") is None


async def test_an_account_that_moves_here_starts_deactivated(
    accounts: Accounts, make_account: MakeAccount
) -> None:
    await make_account(deactivated=True)
    assert accounts.find_account(ALICE) is None
    account = accounts.get_account(ALICE, include_inactive=True)
    assert account.status is AccountStatus.DEACTIVATED
    assert account.deactivated_at == "2027-01-15T08:00:00.000Z"
    assert account.delete_after == "2027-01-18T08:00:00.000Z"


@pytest.mark.parametrize("state", ["active", "deactivated", "takendown"])
async def test_a_clash_with_an_account_in_any_state_undoes_everything(
    accounts: Accounts, make_account: MakeAccount, alice: Session, state: str
) -> None:
    if state == "deactivated":
        await accounts.states.deactivate(ALICE)
    if state == "takendown":
        await accounts.states.takedown(ALICE)
    clashes: list[tuple[dict[str, object], type[AccountError], str]] = [
        ({"did": ALICE, "handle": "other.test"}, AccountExists, ALICE),
        ({"did": BOB, "handle": "ALICE.test"}, HandleTaken, "Handle already taken: ALICE.test"),
        (
            {"did": BOB, "handle": "bob.test", "email": "ALICE@example.com", "password": "x"},
            EmailTaken,
            "Email already taken: ALICE@example.com",
        ),
    ]
    for fields, error, message in clashes:
        with pytest.raises(error, match=message):
            await make_account(**fields)
    assert accounts.find_account(BOB, include_inactive=True) is None
    assert accounts.db.value("SELECT count(*) FROM refresh_token WHERE did = ?", (BOB,)) == 0
    assert accounts.repo_roots.find(BOB) is None


async def test_a_bad_invite_code_makes_no_account(
    accounts: Accounts, make_account: MakeAccount
) -> None:
    with pytest.raises(InvalidInviteCode, match="Provided invite code not available"):
        await make_account(invite_code="no-such-code")
    assert accounts.find_account(ALICE) is None


async def test_a_password_of_more_than_256_characters_is_refused(
    make_account: MakeAccount,
) -> None:
    with pytest.raises(
        InvalidPasswordLength, match=r"Password too long\. Maximum length is 256 characters\."
    ):
        await make_account(email="a@b.co", password="x" * 257)


async def test_accounts_are_found_by_did_handle_and_email_in_any_letter_case(
    accounts: Accounts, alice: Session
) -> None:
    account = accounts.get_account(ALICE)
    assert accounts.find_account("ALICE.test") == account
    assert accounts.find_account_by_email("ALICE@EXAMPLE.COM") == account
    assert accounts.find_account(BOB) is None
    assert accounts.store.find_many([ALICE, BOB]) == {ALICE: account}
    assert accounts.store.find_many([]) == {}


def test_an_account_that_is_gone_counts_as_deleted() -> None:
    assert status_of(None) is AccountStatus.DELETED
