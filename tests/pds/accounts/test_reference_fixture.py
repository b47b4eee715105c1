"""Credentials that the reference PDS gave out go on working."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from database.timestamps import epoch_s_of
from pds.accounts.account import AccountStatus
from pds.accounts.accounts import Accounts, NewAccount
from pds.accounts.errors import AccountTakendown, ExpiredToken
from pds.accounts.schema import open_account_database
from pds.accounts.scopes import SessionScope
from pds.accounts.session_tokens import SessionTokens
from repo.syntax import Did
from tests.pds.accounts.conftest import BOB, CID, REV, FakeClock
from tests.reference import data as reference_data

NAMES = reference_data.NAMES
STATUS = {"carol": AccountStatus.TAKENDOWN, "frank": AccountStatus.DEACTIVATED}


@pytest.fixture(scope="module")
def manifest() -> Any:
    return reference_data.manifest()


@pytest.fixture
def clock() -> FakeClock:
    """A moment after the fixture was made."""
    return FakeClock(epoch_s_of("2026-11-20T12:40:00.000Z"))


@pytest.fixture
def tokens(manifest: Any, clock: FakeClock) -> SessionTokens:
    return SessionTokens(
        jwt_secret=manifest["secrets"]["jwtSecret"], service_did="did:web:localhost", clock=clock
    )


@pytest.fixture
async def accounts(
    tmp_path: Path, tokens: SessionTokens, clock: FakeClock
) -> AsyncIterator[Accounts]:
    accounts = Accounts(
        open_account_database(reference_data.unpack_file("account.sqlite", tmp_path)),
        session_tokens=tokens,
        hostname="localhost",
        clock=clock,
        min_login_ms=0,
    )
    yield accounts
    await accounts.close()


@pytest.mark.parametrize("name", NAMES)
async def test_passwords_open_their_accounts(accounts: Accounts, manifest: Any, name: str) -> None:
    expected = manifest["accounts"][name]
    login = await accounts.logins.check(expected["did"], expected["password"], allow_takendown=True)
    assert login.account.did == expected["did"]
    assert login.account.status is STATUS.get(name, AccountStatus.ACTIVE)
    assert login.account.email == f"{name}@test.com"


async def test_a_taken_down_account_stays_so(accounts: Accounts, manifest: Any) -> None:
    with pytest.raises(AccountTakendown):
        await accounts.logins.check("carol.test", manifest["accounts"]["carol"]["password"])


async def test_the_app_password_opens_a_lesser_session(
    accounts: Accounts, manifest: Any, tokens: SessionTokens
) -> None:
    password = manifest["accounts"]["alice"]["appPassword"]["password"]
    login = await accounts.logins.check("alice.test", password)
    assert login.app_password is not None
    assert login.app_password.name == "fixture-app"
    session = await accounts.sessions.create(login)
    assert tokens.verify_access(session.access_jwt).scope is SessionScope.APP_PASS


@pytest.mark.parametrize("name", NAMES)
def test_access_tokens_are_accepted_until_they_expire(
    manifest: Any, tokens: SessionTokens, clock: FakeClock, name: str
) -> None:
    expected = manifest["accounts"][name]
    claims = tokens.verify_access(expected["accessJwt"])
    assert (claims.did, claims.scope) == (expected["did"], SessionScope.ACCESS)
    clock.now_s = claims.expires_at
    with pytest.raises(ExpiredToken):
        tokens.verify_access(expected["accessJwt"])


@pytest.mark.parametrize("name", NAMES)
async def test_refresh_tokens_are_renewed_unless_a_takedown_revoked_them(
    accounts: Accounts, manifest: Any, tokens: SessionTokens, name: str
) -> None:
    expected = manifest["accounts"][name]
    claims = tokens.verify_refresh(expected["refreshJwt"])
    assert claims.did == expected["did"]
    if name == "carol":
        with pytest.raises(ExpiredToken, match="Token has been revoked"):
            await accounts.sessions.renew(claims.jti)
    else:
        assert (await accounts.sessions.renew(claims.jti)).did == expected["did"]


def test_tokens_are_made_as_the_reference_makes_them(
    manifest: Any, tokens: SessionTokens, clock: FakeClock
) -> None:
    expected = manifest["accounts"]["alice"]
    access = tokens.verify_access(expected["accessJwt"])
    clock.now_s = access.expires_at - 7200
    assert tokens.create_access(Did(expected["did"]), access.scope) == expected["accessJwt"]
    refresh = tokens.verify_refresh(expected["refreshJwt"])
    assert tokens.create_refresh(refresh.did, refresh.jti).jwt == expected["refreshJwt"]


async def test_the_invite_code_still_makes_an_account(accounts: Accounts, manifest: Any) -> None:
    code = manifest["inviteCode"]
    await accounts.create_account(
        NewAccount(did=BOB, handle="new.test", cid=CID, rev=REV, invite_code=code)
    )
    assert [use.used_by for use in accounts.invites.of_account("admin")[0].uses] == [BOB]


def test_repos_are_listed_with_their_heads(accounts: Accounts, manifest: Any) -> None:
    repos = {repo.did: repo for repo in accounts.repo_roots.list(limit=100)}
    for name in NAMES:
        expected = manifest["accounts"][name]
        repo = repos[expected["did"]]
        assert repo.status is STATUS.get(name, AccountStatus.ACTIVE)
        if repo.status is AccountStatus.ACTIVE:
            assert repo.head == expected["latestCommit"]["cid"]
            assert repo.rev == expected["latestCommit"]["rev"]
