"""Email addresses, passwords and the tokens that confirm changes."""

from __future__ import annotations

import pytest

from pds.accounts.email_tokens import LIFETIME_S, EmailTokenPurpose
from pds.accounts.errors import (
    AccountNotFound,
    EmailTaken,
    ExpiredToken,
    InvalidCredentials,
    InvalidEmail,
    InvalidPasswordLength,
    InvalidToken,
    TokenRequired,
)
from pds.accounts.manager import AccountManager
from pds.accounts.session_operations import Session
from pds.accounts.session_tokens import SessionTokens
from tests.pds.accounts.conftest import ALICE, BOB, FakeClock, MakeAccount

DELETE = EmailTokenPurpose.DELETE_ACCOUNT
CONFIRM = EmailTokenPurpose.CONFIRM_EMAIL
UPDATE = EmailTokenPurpose.UPDATE_EMAIL
RESET = EmailTokenPurpose.RESET_PASSWORD


async def test_a_token_confirms_its_purpose_for_its_account_in_any_letter_case(
    accounts: AccountManager, alice: Session
) -> None:
    token = await accounts.create_email_token(ALICE, DELETE)
    accounts.check_email_token(ALICE, DELETE, token.lower())
    for did, purpose, text in (
        (BOB, DELETE, token),
        (ALICE, CONFIRM, token),
        (ALICE, DELETE, "AAAAA-AAAAA"),
        (ALICE, DELETE, ""),
    ):
        with pytest.raises(InvalidToken, match="Token is invalid"):
            accounts.check_email_token(did, purpose, text)


async def test_a_token_expires_after_15_minutes(
    accounts: AccountManager, alice: Session, clock: FakeClock
) -> None:
    token = await accounts.create_email_token(ALICE, DELETE)
    clock.now_s += LIFETIME_S
    accounts.check_email_token(ALICE, DELETE, token)
    clock.now_s += 1
    with pytest.raises(ExpiredToken, match="Token is expired"):
        accounts.check_email_token(ALICE, DELETE, token)


async def test_a_new_token_replaces_the_one_before(
    accounts: AccountManager, alice: Session, clock: FakeClock
) -> None:
    first = await accounts.create_email_token(ALICE, DELETE)
    clock.now_s += LIFETIME_S
    second = await accounts.create_email_token(ALICE, DELETE)
    with pytest.raises(InvalidToken):
        accounts.check_email_token(ALICE, DELETE, first)
    clock.now_s += 1
    accounts.check_email_token(ALICE, DELETE, second)


async def test_a_used_token_is_gone(accounts: AccountManager, alice: Session) -> None:
    purpose = EmailTokenPurpose.PLC_OPERATION
    token = await accounts.create_email_token(ALICE, purpose)
    await accounts.use_email_token(ALICE, purpose, token)
    with pytest.raises(InvalidToken):
        await accounts.use_email_token(ALICE, purpose, token)


async def test_an_address_is_confirmed_with_its_token(
    accounts: AccountManager, alice: Session
) -> None:
    token = await accounts.create_email_token(ALICE, CONFIRM)
    with pytest.raises(InvalidEmail, match="invalid email"):
        await accounts.confirm_email(ALICE, "other@example.com", token)
    with pytest.raises(AccountNotFound, match="user not found"):
        await accounts.confirm_email(BOB, "alice@example.com", token)
    await accounts.confirm_email(ALICE, "ALICE@example.com", token)
    assert accounts.get_account(ALICE).email_confirmed_at == "2027-01-15T08:00:00.000Z"
    with pytest.raises(InvalidToken):
        await accounts.confirm_email(ALICE, "alice@example.com", token)


async def test_an_unconfirmed_address_is_changed_without_a_token(
    accounts: AccountManager, alice: Session
) -> None:
    await accounts.change_email(ALICE, "New@Example.com", token=None)
    assert accounts.get_account(ALICE).email == "new@example.com"


async def test_a_confirmed_address_is_changed_with_a_token_and_is_then_unconfirmed(
    accounts: AccountManager, alice: Session
) -> None:
    confirm = await accounts.create_email_token(ALICE, CONFIRM)
    await accounts.confirm_email(ALICE, "alice@example.com", confirm)
    update = await accounts.create_email_token(ALICE, UPDATE)
    await accounts.create_email_token(ALICE, DELETE)
    for missing in (None, ""):
        with pytest.raises(TokenRequired):
            await accounts.change_email(ALICE, "new@example.com", token=missing)
    with pytest.raises(InvalidToken):
        await accounts.change_email(ALICE, "new@example.com", token="AAAAA-AAAAA")
    await accounts.change_email(ALICE, "new@example.com", token=update)
    account = accounts.get_account(ALICE)
    assert (account.email, account.email_confirmed_at) == ("new@example.com", None)
    assert accounts.db.value("SELECT count(*) FROM email_token") == 0


async def test_an_address_belongs_to_one_account(
    accounts: AccountManager, alice: Session, make_account: MakeAccount
) -> None:
    await make_account(BOB, "bob.test", email="bob@example.com", password="bob-pass")
    await accounts.takedown(BOB)
    with pytest.raises(EmailTaken, match="already in use"):
        await accounts.change_email(ALICE, "BOB@example.com", token=None)
    with pytest.raises(EmailTaken):
        await accounts.update_email(ALICE, "bob@example.com")
    await accounts.update_email(ALICE, "ALICE@example.com")
    assert accounts.get_account(ALICE).email == "alice@example.com"


async def test_the_admin_changes_an_address_without_a_token(
    accounts: AccountManager, alice: Session
) -> None:
    token = await accounts.create_email_token(ALICE, CONFIRM)
    await accounts.confirm_email(ALICE, "alice@example.com", token)
    await accounts.update_email(ALICE, "new@example.com")
    assert accounts.get_account(ALICE).email_confirmed_at is None
    with pytest.raises(AccountNotFound):
        await accounts.update_email(BOB, "bob@example.com")


async def test_a_reset_sets_the_password_of_whoever_got_the_token_and_ends_sessions(
    accounts: AccountManager, alice: Session, session_tokens: SessionTokens
) -> None:
    token = await accounts.create_email_token(ALICE, RESET)
    assert await accounts.reset_password(token.lower(), "new-pass") == ALICE
    await accounts.login("alice.test", "new-pass")
    with pytest.raises(InvalidCredentials):
        await accounts.login("alice.test", "alice-pass")
    with pytest.raises(ExpiredToken):
        await accounts.rotate_refresh_token(session_tokens.verify_refresh(alice.refresh_jwt).jti)
    with pytest.raises(InvalidToken):
        await accounts.reset_password(token, "again")


async def test_a_reset_with_an_old_token_changes_nothing(
    accounts: AccountManager, alice: Session, clock: FakeClock
) -> None:
    token = await accounts.create_email_token(ALICE, RESET)
    clock.now_s += LIFETIME_S + 1
    with pytest.raises(ExpiredToken):
        await accounts.reset_password(token, "new-pass")
    await accounts.login("alice.test", "alice-pass")


async def test_the_admin_sets_a_password_and_ends_sessions(
    accounts: AccountManager, alice: Session, session_tokens: SessionTokens
) -> None:
    await accounts.update_password(ALICE, "new-pass")
    await accounts.login("alice.test", "new-pass")
    with pytest.raises(ExpiredToken):
        await accounts.rotate_refresh_token(session_tokens.verify_refresh(alice.refresh_jwt).jti)
    with pytest.raises(AccountNotFound):
        await accounts.update_password(BOB, "new-pass")


async def test_a_new_password_has_at_most_256_characters(
    accounts: AccountManager, alice: Session
) -> None:
    token = await accounts.create_email_token(ALICE, RESET)
    with pytest.raises(InvalidPasswordLength, match=r"Invalid password length\."):
        await accounts.reset_password(token, "x" * 257)
    with pytest.raises(InvalidPasswordLength):
        await accounts.update_password(ALICE, "x" * 257)
    await accounts.reset_password(token, "x" * 256)
