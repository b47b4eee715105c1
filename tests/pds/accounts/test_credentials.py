"""Email addresses, passwords and the tokens that confirm changes."""

from __future__ import annotations

import pytest

from pds.accounts.accounts import Accounts
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
from pds.accounts.session_tokens import SessionTokens
from pds.accounts.sessions import Session
from tests.pds.accounts.conftest import ALICE, BOB, FakeClock, MakeAccount

DELETE = EmailTokenPurpose.DELETE_ACCOUNT
CONFIRM = EmailTokenPurpose.CONFIRM_EMAIL
UPDATE = EmailTokenPurpose.UPDATE_EMAIL
RESET = EmailTokenPurpose.RESET_PASSWORD


async def test_a_token_confirms_its_purpose_for_its_account_in_any_letter_case(
    accounts: Accounts, alice: Session
) -> None:
    token = await accounts.email_tokens.create(ALICE, DELETE)
    accounts.email_tokens.check(ALICE, DELETE, token.lower())
    for did, purpose, text in (
        (BOB, DELETE, token),
        (ALICE, CONFIRM, token),
        (ALICE, DELETE, "AAAAA-AAAAA"),
        (ALICE, DELETE, ""),
    ):
        with pytest.raises(InvalidToken, match="Token is invalid"):
            accounts.email_tokens.check(did, purpose, text)


async def test_a_token_expires_after_15_minutes(
    accounts: Accounts, alice: Session, clock: FakeClock
) -> None:
    token = await accounts.email_tokens.create(ALICE, DELETE)
    clock.now_s += LIFETIME_S
    accounts.email_tokens.check(ALICE, DELETE, token)
    clock.now_s += 1
    with pytest.raises(ExpiredToken, match="Token is expired"):
        accounts.email_tokens.check(ALICE, DELETE, token)


async def test_a_new_token_replaces_the_one_before(
    accounts: Accounts, alice: Session, clock: FakeClock
) -> None:
    first = await accounts.email_tokens.create(ALICE, DELETE)
    clock.now_s += LIFETIME_S
    second = await accounts.email_tokens.create(ALICE, DELETE)
    with pytest.raises(InvalidToken):
        accounts.email_tokens.check(ALICE, DELETE, first)
    clock.now_s += 1
    accounts.email_tokens.check(ALICE, DELETE, second)


async def test_a_used_token_is_gone(accounts: Accounts, alice: Session) -> None:
    purpose = EmailTokenPurpose.PLC_OPERATION
    token = await accounts.email_tokens.create(ALICE, purpose)
    await accounts.email_tokens.use(ALICE, purpose, token)
    with pytest.raises(InvalidToken):
        await accounts.email_tokens.use(ALICE, purpose, token)


async def test_an_address_is_confirmed_with_its_token(accounts: Accounts, alice: Session) -> None:
    token = await accounts.email_tokens.create(ALICE, CONFIRM)
    with pytest.raises(InvalidEmail, match="invalid email"):
        await accounts.emails.confirm(ALICE, "other@example.com", token)
    with pytest.raises(AccountNotFound, match="user not found"):
        await accounts.emails.confirm(BOB, "alice@example.com", token)
    await accounts.emails.confirm(ALICE, "ALICE@example.com", token)
    assert accounts.get_account(ALICE).email_confirmed_at == "2027-01-15T08:00:00.000Z"
    with pytest.raises(InvalidToken):
        await accounts.emails.confirm(ALICE, "alice@example.com", token)


async def test_an_unconfirmed_address_is_changed_without_a_token(
    accounts: Accounts, alice: Session
) -> None:
    await accounts.emails.change(ALICE, "New@Example.com", token=None)
    assert accounts.get_account(ALICE).email == "new@example.com"


async def test_a_confirmed_address_is_changed_with_a_token_and_is_then_unconfirmed(
    accounts: Accounts, alice: Session
) -> None:
    confirm = await accounts.email_tokens.create(ALICE, CONFIRM)
    await accounts.emails.confirm(ALICE, "alice@example.com", confirm)
    update = await accounts.email_tokens.create(ALICE, UPDATE)
    await accounts.email_tokens.create(ALICE, DELETE)
    for missing in (None, ""):
        with pytest.raises(TokenRequired):
            await accounts.emails.change(ALICE, "new@example.com", token=missing)
    with pytest.raises(InvalidToken):
        await accounts.emails.change(ALICE, "new@example.com", token="AAAAA-AAAAA")
    await accounts.emails.change(ALICE, "new@example.com", token=update)
    account = accounts.get_account(ALICE)
    assert (account.email, account.email_confirmed_at) == ("new@example.com", None)
    assert accounts.db.value("SELECT count(*) FROM email_token") == 0


async def test_an_address_belongs_to_one_account(
    accounts: Accounts, alice: Session, make_account: MakeAccount
) -> None:
    await make_account(BOB, "bob.test", email="bob@example.com", password="bob-pass")
    await accounts.states.takedown(BOB)
    with pytest.raises(EmailTaken, match="already in use"):
        await accounts.emails.change(ALICE, "BOB@example.com", token=None)
    with pytest.raises(EmailTaken):
        await accounts.emails.update(ALICE, "bob@example.com")
    await accounts.emails.update(ALICE, "ALICE@example.com")
    assert accounts.get_account(ALICE).email == "alice@example.com"


async def test_the_admin_changes_an_address_without_a_token(
    accounts: Accounts, alice: Session
) -> None:
    token = await accounts.email_tokens.create(ALICE, CONFIRM)
    await accounts.emails.confirm(ALICE, "alice@example.com", token)
    await accounts.emails.update(ALICE, "new@example.com")
    assert accounts.get_account(ALICE).email_confirmed_at is None
    with pytest.raises(AccountNotFound):
        await accounts.emails.update(BOB, "bob@example.com")


async def test_a_reset_sets_the_password_of_whoever_got_the_token_and_ends_sessions(
    accounts: Accounts, alice: Session, session_tokens: SessionTokens
) -> None:
    token = await accounts.email_tokens.create(ALICE, RESET)
    assert await accounts.passwords.reset(token.lower(), "new-pass") == ALICE
    await accounts.logins.check("alice.test", "new-pass")
    with pytest.raises(InvalidCredentials):
        await accounts.logins.check("alice.test", "alice-pass")
    with pytest.raises(ExpiredToken):
        await accounts.sessions.renew(session_tokens.verify_refresh(alice.refresh_jwt).jti)
    with pytest.raises(InvalidToken):
        await accounts.passwords.reset(token, "again")


async def test_a_reset_with_an_old_token_changes_nothing(
    accounts: Accounts, alice: Session, clock: FakeClock
) -> None:
    token = await accounts.email_tokens.create(ALICE, RESET)
    clock.now_s += LIFETIME_S + 1
    with pytest.raises(ExpiredToken):
        await accounts.passwords.reset(token, "new-pass")
    await accounts.logins.check("alice.test", "alice-pass")


async def test_the_admin_sets_a_password_and_ends_sessions(
    accounts: Accounts, alice: Session, session_tokens: SessionTokens
) -> None:
    await accounts.passwords.update(ALICE, "new-pass")
    await accounts.logins.check("alice.test", "new-pass")
    with pytest.raises(ExpiredToken):
        await accounts.sessions.renew(session_tokens.verify_refresh(alice.refresh_jwt).jti)
    with pytest.raises(AccountNotFound):
        await accounts.passwords.update(BOB, "new-pass")


async def test_a_new_password_has_at_most_256_characters(
    accounts: Accounts, alice: Session
) -> None:
    token = await accounts.email_tokens.create(ALICE, RESET)
    with pytest.raises(InvalidPasswordLength, match=r"Invalid password length\."):
        await accounts.passwords.reset(token, "x" * 257)
    with pytest.raises(InvalidPasswordLength):
        await accounts.passwords.update(ALICE, "x" * 257)
    await accounts.passwords.reset(token, "x" * 256)
