"""Accounts in memory: never older than what is stored, whoever has stored it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from database.change_watch import ChangeWatch
from database.connection import Database
from pds.accounts import kept_accounts
from pds.accounts.account_store import AccountStore
from pds.accounts.kept_accounts import KeptAccounts
from pds.accounts.schema import open_account_database
from tests.pds.accounts.conftest import ALICE, BOB

NOW = "2026-01-01T00:00:00.000Z"


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    with closing(open_account_database(tmp_path / "account.sqlite")) as db:
        store = AccountStore(db)
        for did, name in ((ALICE, "alice"), (BOB, "bob")):
            store.add(
                did, handle=f"{name}.test", created_at=NOW, deactivated_at=None, delete_after=None
            )
            store.add_login(did, email=f"{name}@example.com", password_hash="x")
        yield db


@pytest.fixture
def kept(db: Database) -> KeptAccounts:
    return KeptAccounts(db, ChangeWatch(db))


@pytest.fixture
def store(db: Database, kept: KeptAccounts) -> AccountStore:
    """A store that keeps accounts, and has read Alice's."""
    store = AccountStore(db, kept)
    store.get(ALICE)
    assert kept.find(ALICE) is not None
    return store


@pytest.fixture
def elsewhere(db: Database) -> Iterator[AccountStore]:
    """The same accounts in another process."""
    with closing(open_account_database(db.path)) as other:
        yield AccountStore(other)


async def test_an_account_is_read_once(store: AccountStore, kept: KeptAccounts) -> None:
    alice = store.find(ALICE)
    assert alice is not None
    assert store.find(ALICE) is alice
    assert store.find_by_handle("Alice.TEST") is alice
    assert kept.find_by_handle("alice.test") is alice


async def test_what_is_changed_here_is_seen_at_once(store: AccountStore) -> None:
    store.set_takedown_ref(ALICE, "ref")
    assert store.find(ALICE) is None
    assert store.get(ALICE).takedown_ref == "ref"
    store.set_takedown_ref(ALICE, None)
    store.set_deactivated(ALICE, NOW)
    assert (store.find(ALICE), store.get(ALICE).deactivated_at) == (None, NOW)
    store.set_email(ALICE, "new@example.com")
    assert store.get(ALICE).email == "new@example.com"
    store.set_handle(ALICE, "other.test")
    assert store.find_by_handle("alice.test") is None
    store.remove_login(ALICE)
    assert store.get(ALICE).email is None


async def test_what_another_process_changes_is_seen_by_the_next_request(
    store: AccountStore, elsewhere: AccountStore
) -> None:
    elsewhere.set_takedown_ref(ALICE, "ref")
    elsewhere.set_handle(BOB, "free.test")
    await asyncio.sleep(0)
    assert store.get(ALICE).takedown_ref == "ref"
    assert store.find_by_handle("bob.test") is None
    elsewhere.set_handle(BOB, "other.test")
    await asyncio.sleep(0)
    assert store.find_by_handle("free.test") is None


async def test_nothing_is_kept_of_a_transaction_that_is_rolled_back(
    db: Database, store: AccountStore
) -> None:
    with suppress(ZeroDivisionError), db.transaction():
        store.set_takedown_ref(ALICE, "ref")
        assert store.get(ALICE).takedown_ref == "ref"
        raise ZeroDivisionError
    assert store.get(ALICE).takedown_ref is None


async def test_a_transaction_reads_what_is_stored(
    db: Database, store: AccountStore, elsewhere: AccountStore
) -> None:
    store.get(ALICE)
    elsewhere.set_takedown_ref(ALICE, "ref")
    with db.transaction():
        assert store.get(ALICE).takedown_ref == "ref"


async def test_the_accounts_that_were_read_first_make_room(
    store: AccountStore, kept: KeptAccounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_accounts, "MAX_KEPT", 1)
    store.get(BOB)
    assert (kept.find(ALICE), kept.find_by_handle("alice.test")) == (None, None)
    assert kept.find(BOB) is not None


async def test_a_name_in_letters_that_sqlite_does_not_fold_is_never_taken_for_another(
    store: AccountStore,
) -> None:
    store.set_handle(ALICE, "\u212a.test")  # The sign of Kelvin, in lower case a k.
    store.get(ALICE)
    assert store.find_by_handle("k.test") is None
