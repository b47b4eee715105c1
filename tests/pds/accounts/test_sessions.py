"""Logging in, renewing sessions, app passwords."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from database.timestamps import iso_of
from pds.accounts import refresh_tokens
from pds.accounts.accounts import Accounts
from pds.accounts.errors import (
    AccountTakendown,
    AppPasswordExists,
    ExpiredToken,
    InvalidCredentials,
    PasswordTooLong,
)
from pds.accounts.hashing import OPERATOR, PasswordHasher
from pds.accounts.refresh_tokens import GRACE_S
from pds.accounts.schema import open_account_database
from pds.accounts.scopes import SessionScope
from pds.accounts.session_tokens import REFRESH_LIFETIME_S, SessionTokens
from pds.accounts.sessions import Session
from tests.pds.accounts.conftest import ALICE, BOB, START_S, FakeClock, MakeAccount


@pytest.fixture
def jti(alice: Session, session_tokens: SessionTokens) -> str:
    """The id of alice's first refresh token."""
    return session_tokens.verify_refresh(alice.refresh_jwt).jti


def jti_of(session: Session, session_tokens: SessionTokens) -> str:
    return session_tokens.verify_refresh(session.refresh_jwt).jti


def scope_of(session: Session, session_tokens: SessionTokens) -> SessionScope:
    return session_tokens.verify_access(session.access_jwt).scope


@pytest.mark.parametrize(
    "identifier", ["alice.test", "ALICE.TEST", "alice@example.com", "Alice@Example.COM", ALICE]
)
async def test_one_logs_in_by_handle_email_or_did(
    accounts: Accounts, alice: Session, identifier: str
) -> None:
    login = await accounts.logins.check(identifier, "alice-pass")
    assert login.account.did == ALICE
    assert login.app_password is None


@pytest.mark.parametrize(
    ("identifier", "password"),
    [
        ("alice.test", "wrong"),
        ("alice.test", ""),
        ("alice.test", "ALICE-PASS"),
        ("nobody.test", "alice-pass"),
        ("nobody@example.com", "alice-pass"),
        ("did:plc:nobody", "alice-pass"),
        ("", "alice-pass"),
    ],
)
async def test_a_wrong_password_and_an_unknown_account_look_alike(
    accounts: Accounts, alice: Session, identifier: str, password: str
) -> None:
    with pytest.raises(InvalidCredentials, match="Invalid identifier or password"):
        await accounts.logins.check(identifier, password)


async def test_an_account_without_a_password_cannot_be_logged_in_to(
    accounts: Accounts, make_account: MakeAccount
) -> None:
    await make_account()
    with pytest.raises(InvalidCredentials):
        await accounts.logins.check("alice.test", "")


async def test_a_password_of_more_than_512_characters_is_not_checked(
    accounts: Accounts, alice: Session
) -> None:
    with pytest.raises(PasswordTooLong, match="Consider resetting"):
        await accounts.logins.check("alice.test", "x" * 513)
    with pytest.raises(PasswordTooLong):
        await accounts.logins.check_password(ALICE, "x" * 513)


async def test_an_account_that_is_taken_down_opens_only_a_session_of_its_own_kind(
    accounts: Accounts, alice: Session, session_tokens: SessionTokens
) -> None:
    _, text = await accounts.app_passwords.create(ALICE, "app")
    await accounts.states.takedown(ALICE)
    with pytest.raises(AccountTakendown):
        await accounts.logins.check("alice.test", "alice-pass")
    with pytest.raises(InvalidCredentials):
        await accounts.logins.check("alice.test", text, allow_takendown=True)
    login = await accounts.logins.check("alice.test", "alice-pass", allow_takendown=True)
    session = await accounts.sessions.create(login)
    assert scope_of(session, session_tokens) is SessionScope.TAKENDOWN
    with pytest.raises(ExpiredToken, match="revoked"):
        await accounts.sessions.renew(jti_of(session, session_tokens))


async def test_every_attempt_takes_the_least_time(
    tmp_path: Path, session_tokens: SessionTokens
) -> None:
    accounts = Accounts(
        open_account_database(tmp_path / "slow.sqlite"),
        session_tokens=session_tokens,
        hostname="localhost",
        min_login_ms=40,
    )
    loop = asyncio.get_running_loop()
    started = loop.time()
    with pytest.raises(InvalidCredentials):
        await accounts.logins.check("nobody.test", "x")
    assert loop.time() - started >= 0.039
    await accounts.close()


async def test_hashes_run_beside_the_event_loop(accounts: Accounts, alice: Session) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0)
            ticks += 1

    ticking = asyncio.create_task(tick())
    await asyncio.gather(*(accounts.logins.check(ALICE, "alice-pass") for _ in range(3)))
    ticking.cancel()
    assert ticks > 10


async def test_the_account_password_is_checked_for_deletion(
    accounts: Accounts, alice: Session
) -> None:
    await accounts.logins.check_password(ALICE, "alice-pass")
    _, text = await accounts.app_passwords.create(ALICE, "app")
    for did, password in ((ALICE, "wrong"), (ALICE, text), (BOB, "alice-pass")):
        with pytest.raises(InvalidCredentials, match="Invalid did or password"):
            await accounts.logins.check_password(did, password)


async def test_a_renewed_session_gets_a_new_token_and_keeps_its_scope(
    accounts: Accounts, jti: str, session_tokens: SessionTokens
) -> None:
    session = await accounts.sessions.renew(jti)
    assert session.did == ALICE
    assert jti_of(session, session_tokens) != jti
    assert scope_of(session, session_tokens) is SessionScope.ACCESS
    await accounts.sessions.renew(jti_of(session, session_tokens))


async def test_concurrent_and_repeated_renewals_agree_on_one_successor(
    accounts: Accounts, jti: str, session_tokens: SessionTokens, clock: FakeClock
) -> None:
    sessions = await asyncio.gather(*(accounts.sessions.renew(jti) for _ in range(8)))
    clock.now_s += GRACE_S - 1
    sessions.append(await accounts.sessions.renew(jti))
    assert len({jti_of(session, session_tokens) for session in sessions}) == 1
    assert accounts.db.value("SELECT count(*) FROM refresh_token") == 2


async def test_the_grace_ends_two_hours_after_the_first_use_however_often_it_is_used(
    accounts: Accounts, jti: str, clock: FakeClock
) -> None:
    for _ in range(4):
        await accounts.sessions.renew(jti)
        expires_at = accounts.db.value("SELECT expiresAt FROM refresh_token WHERE id = ?", (jti,))
        assert expires_at == iso_of(START_S + GRACE_S)
        clock.now_s += GRACE_S / 4
    with pytest.raises(ExpiredToken, match="Token has been revoked"):
        await accounts.sessions.renew(jti)


async def test_an_unused_token_that_expires_soon_gets_no_longer_life(
    accounts: Accounts, jti: str, clock: FakeClock
) -> None:
    clock.now_s += REFRESH_LIFETIME_S - 60
    await accounts.sessions.renew(jti)
    expires_at = accounts.db.value("SELECT expiresAt FROM refresh_token WHERE id = ?", (jti,))
    assert expires_at == iso_of(START_S + REFRESH_LIFETIME_S)


async def test_renewing_clears_the_accounts_expired_tokens_even_if_it_fails(
    accounts: Accounts, jti: str, clock: FakeClock
) -> None:
    clock.now_s += REFRESH_LIFETIME_S
    with pytest.raises(ExpiredToken):
        await accounts.sessions.renew(jti)
    assert accounts.db.value("SELECT count(*) FROM refresh_token") == 0


async def test_the_successor_keeps_its_own_row_when_its_predecessor_is_used_again(
    accounts: Accounts, jti: str, session_tokens: SessionTokens, clock: FakeClock
) -> None:
    successor = jti_of(await accounts.sessions.renew(jti), session_tokens)
    await accounts.sessions.renew(successor)
    row = accounts.db.one("SELECT expiresAt, nextId FROM refresh_token WHERE id = ?", (successor,))
    clock.now_s += 60
    await accounts.sessions.renew(jti)
    assert row == accounts.db.one(
        "SELECT expiresAt, nextId FROM refresh_token WHERE id = ?", (successor,)
    )


async def test_an_ended_session_cannot_be_renewed(accounts: Accounts, jti: str) -> None:
    await accounts.sessions.end(ALICE, jti)
    await accounts.sessions.end(ALICE, jti)
    for unknown in (jti, "never-given-out"):
        with pytest.raises(ExpiredToken, match="Token has been revoked"):
            await accounts.sessions.renew(unknown)


@pytest.mark.parametrize("ended_by", [0, 1, 2])
async def test_no_token_of_a_session_renews_it_once_it_has_ended(
    accounts: Accounts, jti: str, session_tokens: SessionTokens, ended_by: int
) -> None:
    """Predecessors would, within their grace; successors would for months."""
    family = [jti]
    for _ in range(2):
        renewed = await accounts.sessions.renew(family[-1])
        family.append(jti_of(renewed, session_tokens))
    other = await accounts.sessions.create(await accounts.logins.check("alice.test", "alice-pass"))
    await accounts.sessions.end(ALICE, family[ended_by])
    for one in family:
        with pytest.raises(ExpiredToken, match="revoked"):
            await accounts.sessions.renew(one)
    await accounts.sessions.renew(jti_of(other, session_tokens))


@pytest.mark.parametrize("by_app_password", [False, True])
async def test_a_token_that_is_not_kept_any_more_ends_its_session(
    accounts: Accounts,
    jti: str,
    session_tokens: SessionTokens,
    clock: FakeClock,
    by_app_password: bool,
) -> None:
    """As its owner has it, where a thief has renewed the session since."""
    if by_app_password:
        _, text = await accounts.app_passwords.create(ALICE, "phone")
        opened = await accounts.sessions.create(await accounts.logins.check("alice.test", text))
        jti = jti_of(opened, session_tokens)
    newest = jti
    for _ in range(50):
        newest = jti_of(await accounts.sessions.renew(newest), session_tokens)
        clock.now_s += GRACE_S + 1
    assert accounts.db.value("SELECT 1 FROM refresh_token WHERE id = ?", (jti,)) is None
    other = await accounts.sessions.create(await accounts.logins.check("alice.test", "alice-pass"))
    await accounts.sessions.end(ALICE, jti)
    with pytest.raises(ExpiredToken, match="revoked"):
        await accounts.sessions.renew(newest)
    await accounts.sessions.renew(jti_of(other, session_tokens))


async def test_a_session_that_is_already_gone_takes_no_other_with_it(
    accounts: Accounts, jti: str, alice: Session, make_account: MakeAccount
) -> None:
    await make_account(BOB, "bob.test", email="bob@example.com", password="bob-pass")
    for unknown in ("never-given-out", ""):
        await accounts.sessions.end(ALICE, unknown)
    assert accounts.db.value("SELECT count(*) FROM refresh_token") == 2
    await accounts.sessions.end(ALICE, jti)
    assert accounts.db.all("SELECT did FROM refresh_token") == [(BOB,)]


async def test_a_family_that_refers_to_itself_is_ended_too(accounts: Accounts, jti: str) -> None:
    accounts.db.run("UPDATE refresh_token SET nextId = id")
    await accounts.sessions.end(ALICE, jti)
    assert accounts.db.value("SELECT count(*) FROM refresh_token") == 0


async def test_a_session_that_is_renewed_without_a_pause_leaves_a_bounded_trail(
    accounts: Accounts,
    session_tokens: SessionTokens,
    alice: Session,
    jti: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(refresh_tokens, "MAX_ROWS", 16)
    phone = await accounts.sessions.create(await accounts.logins.check(ALICE, "alice-pass"))
    before, most = jti, 0
    for _ in range(100):
        now = jti_of(await accounts.sessions.renew(before), session_tokens)
        # Whoever has lost the answer asks again.
        assert jti_of(await accounts.sessions.renew(before), session_tokens) == now
        before = now
        most = max(most, accounts.db.value("SELECT count(*) FROM refresh_token"))
    assert most == 16
    await accounts.sessions.renew(jti_of(phone, session_tokens))
    await accounts.sessions.end(ALICE, before)
    assert accounts.db.value("SELECT count(*) FROM refresh_token") == 2


async def test_a_bot_that_logs_in_without_a_pause_ends_its_own_sessions_only(
    accounts: Accounts,
    session_tokens: SessionTokens,
    alice: Session,
    jti: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(refresh_tokens, "MAX_ROWS", 16)
    _, text = await accounts.app_passwords.create(ALICE, "bot")
    login = await accounts.logins.check(ALICE, text)
    sessions = [await accounts.sessions.create(login) for _ in range(50)]
    assert accounts.db.value("SELECT count(*) FROM refresh_token") <= 16
    for session in (alice, sessions[-1]):
        await accounts.sessions.renew(jti_of(session, session_tokens))
    with pytest.raises(ExpiredToken):
        await accounts.sessions.renew(jti_of(sessions[0], session_tokens))


@pytest.mark.parametrize("privileged", [False, True])
async def test_an_app_password_opens_a_lesser_session(
    accounts: Accounts, alice: Session, session_tokens: SessionTokens, privileged: bool
) -> None:
    created, text = await accounts.app_passwords.create(ALICE, "phone", privileged=privileged)
    login = await accounts.logins.check("alice.test", text)
    assert login.app_password == created
    expected = SessionScope.APP_PASS_PRIVILEGED if privileged else SessionScope.APP_PASS
    session = await accounts.sessions.create(login)
    assert scope_of(session, session_tokens) is expected
    renewed = await accounts.sessions.renew(jti_of(session, session_tokens))
    assert scope_of(renewed, session_tokens) is expected


async def test_an_app_password_is_the_accounts_own(
    accounts: Accounts, alice: Session, make_account: MakeAccount
) -> None:
    await make_account(BOB, "bob.test", email="bob@example.com", password="bob-pass")
    _, text = await accounts.app_passwords.create(ALICE, "phone")
    with pytest.raises(InvalidCredentials):
        await accounts.logins.check("bob.test", text)


async def test_app_passwords_are_listed_newest_first_without_their_text(
    accounts: Accounts, alice: Session, clock: FakeClock
) -> None:
    first, _ = await accounts.app_passwords.create(ALICE, "first")
    clock.now_s += 1
    second, _ = await accounts.app_passwords.create(ALICE, "second", privileged=True)
    assert accounts.app_passwords.list(ALICE) == [second, first]
    with pytest.raises(AppPasswordExists, match="first"):
        await accounts.app_passwords.create(ALICE, "first")


async def test_revoking_an_app_password_ends_its_sessions_and_no_others(
    accounts: Accounts, alice: Session, jti: str, session_tokens: SessionTokens
) -> None:
    _, text = await accounts.app_passwords.create(ALICE, "phone")
    session = await accounts.sessions.create(await accounts.logins.check("alice.test", text))
    await accounts.app_passwords.revoke(ALICE, "phone")
    await accounts.app_passwords.revoke(ALICE, "phone")
    with pytest.raises(ExpiredToken):
        await accounts.sessions.renew(jti_of(session, session_tokens))
    with pytest.raises(InvalidCredentials):
        await accounts.logins.check("alice.test", text)
    await accounts.sessions.renew(jti)


async def test_a_session_whose_app_password_is_gone_falls_to_the_least_scope(
    accounts: Accounts, alice: Session, session_tokens: SessionTokens
) -> None:
    _, text = await accounts.app_passwords.create(ALICE, "phone", privileged=True)
    session = await accounts.sessions.create(await accounts.logins.check("alice.test", text))
    accounts.db.run("DELETE FROM app_password")
    renewed = await accounts.sessions.renew(jti_of(session, session_tokens))
    assert scope_of(renewed, session_tokens) is SessionScope.APP_PASS


async def test_a_closed_hasher_is_not_used_again() -> None:
    hasher = PasswordHasher()
    hasher.close()
    with pytest.raises(RuntimeError):
        async with hasher.turn(OPERATOR, about=ALICE) as hashing:
            await hashing.hash("x")
