"""A new password: what was issued before it opens nothing, what is issued after it does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from database.connection import Database
from pds.accounts.accounts import Accounts
from pds.accounts.errors import AccountTakendown, ExpiredToken, InvalidCredentials, NoLogin
from pds.accounts.schema import open_account_database
from pds.accounts.scopes import SessionScope
from pds.accounts.session_tokens import ACCESS_LIFETIME_S, SessionTokens
from pds.accounts.sessions import Session
from pds.jose.jwt import Secret, sign_jwt
from tests.pds.accounts.conftest import (
    ALICE,
    BOB,
    JWT_SECRET,
    SERVICE_DID,
    FakeClock,
    MakeAccount,
)

OpenAgain = Callable[[], SessionTokens]


@pytest.fixture
def open_again(accounts: Accounts, tmp_path: Path, clock: FakeClock) -> Iterator[OpenAgain]:
    """Another process on the same files."""
    with ExitStack() as stack:

        def open_again() -> SessionTokens:
            tokens = SessionTokens(jwt_secret=JWT_SECRET, service_did=SERVICE_DID, clock=clock)
            database = open_account_database(tmp_path / "account.sqlite")
            stack.callback(database.close)
            Accounts(database, session_tokens=tokens, hostname="x", clock=clock)
            return tokens

        yield open_again


async def renew(accounts: Accounts, password: str) -> Session:
    """Set a password and log in with it, all in one moment."""
    await accounts.passwords.update(ALICE, password)
    return await accounts.sessions.create(await accounts.logins.check("alice.test", password))


def test_a_token_that_does_not_tell_its_age_is_older_than_any_cutoff(
    session_tokens: SessionTokens, clock: FakeClock
) -> None:
    claims = {
        "scope": SessionScope.ACCESS,
        "aud": SERVICE_DID,
        "sub": ALICE,
        "exp": int(clock.now_s) + 60,
    }
    ageless = sign_jwt(Secret(JWT_SECRET.encode()), claims, typ="at+jwt")
    session_tokens.verify_access(ageless)
    session_tokens.cutoff_of = lambda _did: 1
    with pytest.raises(ExpiredToken):
        session_tokens.verify_access(ageless)


async def test_a_new_password_ends_access_at_once(
    accounts: Accounts,
    alice: Session,
    session_tokens: SessionTokens,
    make_account: MakeAccount,
) -> None:
    bob = await make_account(BOB, "bob.test", email="bob@example.com", password="bob-pass")
    session_tokens.verify_access(alice.access_jwt)
    await accounts.passwords.update(ALICE, "new-pass")
    with pytest.raises(ExpiredToken, match="Token has been revoked"):
        session_tokens.verify_access(alice.access_jwt)
    session_tokens.verify_access(bob.access_jwt)


async def test_what_is_issued_in_the_second_of_the_reset_is_told_apart(
    accounts: Accounts, alice: Session, session_tokens: SessionTokens
) -> None:
    """Tokens have whole seconds; the clock stands still throughout."""
    issued = [alice]
    for number in range(3):
        issued.append(await renew(accounts, f"pass-{number}"))
        session_tokens.verify_access(issued[-1].access_jwt)
        for older in issued[:-1]:
            with pytest.raises(ExpiredToken):
                session_tokens.verify_access(older.access_jwt)


async def test_a_restart_does_not_bring_older_tokens_back(
    accounts: Accounts, alice: Session, open_again: OpenAgain, clock: FakeClock
) -> None:
    renewed = await renew(accounts, "new-pass")
    tokens = open_again()
    with pytest.raises(ExpiredToken):
        tokens.verify_access(alice.access_jwt)
    tokens.verify_access(renewed.access_jwt)
    clock.now_s -= 3600
    # Also by a clock that is put back.
    tokens = open_again()
    tokens.verify_access(tokens.create_access(ALICE, SessionScope.ACCESS))


async def test_a_new_password_binds_other_processes_at_once(
    accounts: Accounts, alice: Session, open_again: OpenAgain
) -> None:
    elsewhere = open_again()
    elsewhere.verify_access(alice.access_jwt)
    renewed = await renew(accounts, "new-pass")
    # A request comes in a later step of the event loop than the one before it.
    await asyncio.sleep(0)
    with pytest.raises(ExpiredToken, match="Token has been revoked"):
        elsewhere.verify_access(alice.access_jwt)
    elsewhere.verify_access(renewed.access_jwt)


async def test_a_clock_from_the_future_makes_no_token_that_lives_for_years(
    accounts: Accounts, alice: Session, session_tokens: SessionTokens, clock: FakeClock
) -> None:
    clock.now_s += 10**9
    await accounts.passwords.update(ALICE, "new-pass")
    clock.now_s -= 10**9
    token = session_tokens.create_access(ALICE, SessionScope.ACCESS)
    assert session_tokens.verify_access(token).expires_at == clock.now_s + ACCESS_LIFETIME_S


async def test_cutoffs_are_kept_for_as_long_as_a_token_lives(
    accounts: Accounts,
    alice: Session,
    session_tokens: SessionTokens,
    make_account: MakeAccount,
    clock: FakeClock,
) -> None:
    await make_account(BOB, "bob.test", email="bob@example.com", password="bob-pass")
    await accounts.passwords.update(ALICE, "new-pass")
    clock.now_s += ACCESS_LIFETIME_S + 1
    await accounts.passwords.update(BOB, "new-pass")
    assert accounts.db.all("SELECT did FROM holdfast_access_cutoff") == [(BOB,)]
    assert [accounts.access_cutoffs.find(did) > 0 for did in (ALICE, BOB)] == [False, True]
    await accounts.delete_account(BOB)
    assert accounts.db.all("SELECT did FROM holdfast_access_cutoff") == []


async def test_a_password_that_is_not_set_ends_no_session(
    accounts: Accounts, session_tokens: SessionTokens, make_account: MakeAccount
) -> None:
    without_login = await make_account()
    with pytest.raises(NoLogin):
        await accounts.passwords.update(ALICE, "new-pass")
    session_tokens.verify_access(without_login.access_jwt)


async def test_a_did_that_comes_back_has_no_sessions_of_its_former_life(
    accounts: Accounts,
    alice: Session,
    session_tokens: SessionTokens,
    make_account: MakeAccount,
) -> None:
    await accounts.delete_account(ALICE)
    session = await make_account(deactivated=True, email="alice@example.com", password="other-pass")
    session_tokens.verify_access(session.access_jwt)
    with pytest.raises(ExpiredToken):
        session_tokens.verify_access(alice.access_jwt)


# --- What was under way


async def test_a_login_with_the_old_password_that_was_under_way_opens_nothing(
    accounts: Accounts, alice: Session
) -> None:
    login = await accounts.logins.check("alice.test", "alice-pass")
    await accounts.passwords.update(ALICE, "new-pass")
    with pytest.raises(InvalidCredentials):
        await accounts.sessions.create(login)
    assert accounts.db.value("SELECT count(*) FROM refresh_token") == 0


async def test_a_login_with_an_app_password_that_is_revoked_meanwhile_opens_nothing(
    accounts: Accounts, alice: Session
) -> None:
    _, text = await accounts.app_passwords.create(ALICE, "phone")
    login = await accounts.logins.check("alice.test", text)
    await accounts.app_passwords.revoke(ALICE, "phone")
    with pytest.raises(InvalidCredentials):
        await accounts.sessions.create(login)


async def test_a_login_to_an_account_that_is_taken_down_meanwhile_opens_nothing(
    accounts: Accounts, alice: Session
) -> None:
    login = await accounts.logins.check("alice.test", "alice-pass")
    await accounts.states.takedown(ALICE)
    with pytest.raises(AccountTakendown):
        await accounts.sessions.create(login)


async def test_a_login_to_an_account_that_is_deleted_meanwhile_opens_nothing(
    accounts: Accounts, alice: Session
) -> None:
    login = await accounts.logins.check("alice.test", "alice-pass")
    await accounts.delete_account(ALICE)
    with pytest.raises(InvalidCredentials):
        await accounts.sessions.create(login)


async def test_an_app_password_that_was_being_made_is_not_made(
    accounts: Accounts, alice: Session
) -> None:
    making = asyncio.create_task(accounts.app_passwords.create(ALICE, "phone"))
    await asyncio.sleep(0)
    # As a reset does it, while the password is hashed in a thread.
    accounts.access_cutoffs.remember(ALICE, accounts.access_cutoffs.save(ALICE))
    with pytest.raises(ExpiredToken):
        await making
    assert accounts.app_passwords.list(ALICE) == []


def test_the_table_is_marked_as_our_own(accounts: Accounts) -> None:
    """The reference PDS leaves alone what it does not know."""
    db: Database = accounts.db
    assert db.connection.table_exists("main", "holdfast_access_cutoff")
