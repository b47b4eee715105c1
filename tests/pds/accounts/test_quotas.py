"""Quotas of single accounts: kept beside the account, and gone with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from database.errors import ConstraintViolated
from database.opening import open_database
from pds.accounts.accounts import Accounts
from pds.accounts.errors import AccountNotFound
from pds.accounts.quotas import MAX_BYTES, Quota, Quotas, read_own_quotas
from pds.accounts.sessions import Session
from tests.pds.accounts.conftest import ALICE, BOB, MakeAccount


def stored(accounts: Accounts) -> dict[str, Quota]:
    return read_own_quotas(accounts.db)


@pytest.mark.parametrize("limit", [0, 1, MAX_BYTES, None])
async def test_a_quota_is_kept_and_known_after_a_restart(
    accounts: Accounts, alice: Session, limit: int | None
) -> None:
    await accounts.quotas.set(ALICE, Quota(limit))
    assert accounts.quotas.find(ALICE) == Quota(limit)
    assert Quotas(accounts.db, accounts.store).find(ALICE) == Quota(limit)


async def test_the_default_quota_leaves_no_row(accounts: Accounts, alice: Session) -> None:
    assert accounts.quotas.find(ALICE) is None
    await accounts.quotas.set(ALICE, Quota(5))
    await accounts.quotas.set(ALICE, Quota(7))
    assert stored(accounts) == {ALICE: Quota(7)}
    await accounts.quotas.set(ALICE, None)
    assert accounts.quotas.find(ALICE) is None
    assert stored(accounts) == {}


async def test_a_quota_goes_with_its_account(accounts: Accounts, make_account: MakeAccount) -> None:
    await make_account()
    await make_account(BOB, "bob.test")
    await accounts.quotas.set(ALICE, Quota(5))
    await accounts.quotas.set(BOB, Quota(6))
    await accounts.delete_account(ALICE)
    assert stored(accounts) == {BOB: Quota(6)}
    # The DID may come back, as an account like any other.
    await make_account()
    assert accounts.quotas.find(ALICE) is None


async def test_nobody_has_no_quota(accounts: Accounts) -> None:
    with pytest.raises(AccountNotFound):
        await accounts.quotas.set(ALICE, Quota(5))
    assert stored(accounts) == {}


async def test_a_quota_that_cannot_be_saved_does_not_hold(
    accounts: Accounts, alice: Session
) -> None:
    await accounts.quotas.set(ALICE, Quota(5))
    with pytest.raises(ConstraintViolated):
        await accounts.quotas.set(ALICE, Quota(-2))
    assert accounts.quotas.find(ALICE) == Quota(5)


def test_a_database_without_the_table_has_no_quotas(tmp_path: Path) -> None:
    db = open_database(tmp_path / "other.sqlite")
    assert read_own_quotas(db) == {}
    db.close()
