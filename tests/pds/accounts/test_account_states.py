"""Deactivation, takedown and deletion, and what each does to sessions and lookups."""

from __future__ import annotations

import pytest

from pds.accounts.account import AccountStatus
from pds.accounts.accounts import Accounts
from pds.accounts.email_tokens import EmailTokenPurpose
from pds.accounts.errors import AccountNotFound, ExpiredToken, HandleNotAvailable
from pds.accounts.session_tokens import SessionTokens
from pds.accounts.sessions import Session
from tests.pds.accounts.conftest import ALICE, BOB, MakeAccount

TABLES_OF_AN_ACCOUNT = (
    "actor",
    "account",
    "app_password",
    "refresh_token",
    "repo_root",
    "email_token",
    "token",
    "authorized_client",
)
STEPS = ("deactivate", "activate", "takedown", "untakedown")


async def step(accounts: Accounts, name: str) -> AccountStatus:
    await getattr(accounts.states, name)(ALICE)
    return accounts.get_account(ALICE, include_inactive=True).status


@pytest.mark.parametrize(
    ("steps", "status"),
    [
        ([], AccountStatus.ACTIVE),
        (["deactivate"], AccountStatus.DEACTIVATED),
        (["deactivate", "activate"], AccountStatus.ACTIVE),
        (["takedown"], AccountStatus.TAKENDOWN),
        (["takedown", "untakedown"], AccountStatus.ACTIVE),
        (["deactivate", "takedown"], AccountStatus.TAKENDOWN),
        (["takedown", "deactivate"], AccountStatus.TAKENDOWN),
        (["deactivate", "takedown", "untakedown"], AccountStatus.DEACTIVATED),
        (["deactivate", "takedown", "activate"], AccountStatus.TAKENDOWN),
        (["deactivate", "takedown", "activate", "untakedown"], AccountStatus.ACTIVE),
        (["activate"], AccountStatus.ACTIVE),
        (["untakedown"], AccountStatus.ACTIVE),
    ],
)
async def test_a_takedown_outweighs_a_deactivation(
    accounts: Accounts, alice: Session, steps: list[str], status: AccountStatus
) -> None:
    for name in steps:
        await step(accounts, name)
    account = accounts.get_account(ALICE, include_inactive=True)
    assert account.status is status
    assert account.active is (status is AccountStatus.ACTIVE)
    assert (accounts.find_account(ALICE) is None) is not account.active


async def test_lookups_include_what_they_are_asked_to(accounts: Accounts, alice: Session) -> None:
    await accounts.states.deactivate(ALICE)
    assert accounts.store.find_by_handle("alice.test", include_takendown=True) is None
    assert accounts.store.find_by_handle("alice.test", include_deactivated=True)
    await accounts.states.takedown(ALICE)
    assert accounts.store.find_by_handle("alice.test", include_deactivated=True) is None
    assert accounts.find_account("alice.test", include_inactive=True)
    assert accounts.find_account_by_email("alice@example.com") is None
    assert accounts.find_account_by_email("alice@example.com", include_inactive=True)


async def test_deactivating_notes_when_to_delete_and_activating_forgets_it(
    accounts: Accounts, alice: Session
) -> None:
    await accounts.states.deactivate(ALICE, delete_after="2028-01-01T00:00:00.000Z")
    account = accounts.get_account(ALICE, include_inactive=True)
    assert account.deactivated_at == "2027-01-15T08:00:00.000Z"
    assert account.delete_after == "2028-01-01T00:00:00.000Z"
    await accounts.states.activate(ALICE)
    account = accounts.get_account(ALICE)
    assert (account.deactivated_at, account.delete_after) == (None, None)


async def test_a_takedown_keeps_its_reference_or_else_its_time(
    accounts: Accounts, alice: Session
) -> None:
    await accounts.states.takedown(ALICE, ref="report-7")
    assert accounts.get_account(ALICE, include_inactive=True).takedown_ref == "report-7"
    await accounts.states.untakedown(ALICE)
    await accounts.states.takedown(ALICE)
    ref = accounts.get_account(ALICE, include_inactive=True).takedown_ref
    assert ref == "2027-01-15T08:00:00.000Z"


def add_oauth_token(accounts: Accounts) -> None:
    accounts.db.run(
        "INSERT INTO token (did, tokenId, createdAt, updatedAt, expiresAt, clientId, clientAuth,"
        " parameters) VALUES (?, 'tok-1', '', '', '', '', '', '')",
        (ALICE,),
    )


async def test_a_takedown_ends_all_sessions_and_its_reversal_brings_none_back(
    accounts: Accounts, alice: Session, session_tokens: SessionTokens
) -> None:
    add_oauth_token(accounts)
    await accounts.states.takedown(ALICE)
    await accounts.states.untakedown(ALICE)
    with pytest.raises(ExpiredToken, match="Token has been revoked"):
        await accounts.sessions.renew(session_tokens.verify_refresh(alice.refresh_jwt).jti)
    assert accounts.db.value("SELECT count(*) FROM token") == 0


async def test_a_deactivation_ends_no_session(
    accounts: Accounts, alice: Session, session_tokens: SessionTokens
) -> None:
    await accounts.states.deactivate(ALICE)
    jti = session_tokens.verify_refresh(alice.refresh_jwt).jti
    renewed = await accounts.sessions.renew(jti)
    assert session_tokens.verify_refresh(renewed.refresh_jwt).did == ALICE
    assert (await accounts.logins.check("alice.test", "alice-pass")).account.did == ALICE


@pytest.mark.parametrize("name", STEPS)
async def test_a_step_needs_an_account(accounts: Accounts, name: str) -> None:
    with pytest.raises(AccountNotFound):
        await step(accounts, name)


async def test_a_deleted_account_leaves_no_way_in(
    accounts: Accounts, alice: Session, make_account: MakeAccount
) -> None:
    add_oauth_token(accounts)
    await accounts.app_passwords.create(ALICE, "app")
    await accounts.email_tokens.create(ALICE, EmailTokenPurpose.DELETE_ACCOUNT)
    accounts.db.run("INSERT INTO authorized_client VALUES (?, 'client', '', '', '{}')", (ALICE,))
    await accounts.delete_account(ALICE)
    for table in TABLES_OF_AN_ACCOUNT:
        assert accounts.db.value(f"SELECT count(*) FROM {table}") == 0, table
    await accounts.delete_account(ALICE)
    await make_account(email="alice@example.com", password="new-pass")


async def test_a_handle_can_be_changed_and_set_again_but_not_taken(
    accounts: Accounts, alice: Session, make_account: MakeAccount
) -> None:
    await make_account(BOB, "bob.test")
    await accounts.update_handle(ALICE, "alicia.test")
    await accounts.update_handle(ALICE, "Alicia.test")
    assert accounts.get_account(ALICE).handle == "alicia.test"
    await accounts.states.takedown(BOB)
    with pytest.raises(HandleNotAvailable, match=r"Handle already taken: BOB\.test"):
        await accounts.update_handle(ALICE, "BOB.test")


async def test_the_database_is_asked_whether_it_is_well(accounts: Accounts) -> None:
    accounts.check_health()
