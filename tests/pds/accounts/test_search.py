"""Searching accounts: complete, in pages, and along indexes only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from itertools import count

import pytest

from database.connection import Database
from database.timestamps import iso_of
from pds.accounts import search
from pds.accounts.accounts import Accounts
from pds.accounts.search import AccountPage, list_accounts, search_accounts
from tests.loop_blocks import loop_blocks

MANY = 100_000


def fill(db: Database, number: int) -> None:
    """Add accounts user0, user1, …, of which some are taken down."""
    with db.transaction():
        db.many(
            "INSERT INTO actor (did, handle, createdAt, takedownRef) VALUES (?, ?, ?, ?)",
            (
                (
                    f"did:plc:{n:024d}",
                    f"User{n:06d}.test",
                    iso_of(1_700_000_000 + n),
                    "spam" if n % 1_000 == 0 else None,
                )
                for n in range(number)
            ),
        )
        db.many(
            "INSERT INTO account (did, email, passwordScrypt) VALUES (?, ?, 'x')",
            ((f"did:plc:{n:024d}", f"User{n:06d}@Example.com") for n in range(number)),
        )


def handles(page: AccountPage) -> list[str]:
    return [each.shown_handle for each in page.accounts]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("user00001", [f"User00001{n}.test" for n in range(10)]),
        ("@USER000013", ["User000013.test"]),
        ("user000013@ex", ["User000013.test"]),
        ("  user000013.test ", ["User000013.test"]),
        (f"did:plc:{13:024d}", ["User000013.test"]),
        ("ser0", []),
        ("user_____3", []),
        ("user%", []),
        ("' OR 1=1 --", []),
        ("\U0010ffff", []),
        ("x" * 100_000, []),
        ("\ud800".encode("utf-8", "replace").decode(), []),
    ],
)
def test_accounts_are_found_by_what_their_names_begin_with(
    accounts: Accounts, text: str, found: list[str]
) -> None:
    fill(accounts.db, 25)
    assert handles(search_accounts(accounts.db, text, limit=50)) == found


@pytest.mark.parametrize("text", ["u", "user0@", "did:plc:", "user0"])
def test_pages_are_complete_and_do_not_overlap(accounts: Accounts, text: str) -> None:
    fill(accounts.db, 25)
    found, after = [], ""
    while True:
        page = search_accounts(accounts.db, text, after=after, limit=4)
        found += handles(page)
        if page.next is None:
            break
        after = page.next
    expected = [] if text == "user0@" else [f"User{n:06d}.test" for n in range(25)]
    assert found == expected


def test_accounts_in_a_state_are_found_step_by_step(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(accounts.db, 3_001)
    monkeypatch.setattr(search, "EXAMINED", 700)
    found, after, pages = [], "", 0
    while pages == 0 or after:
        page = list_accounts(accounts.db, "takendown", after=after, limit=2)
        found += handles(page)
        pages, after = pages + 1, page.next or ""
    assert found == [f"User{n:06d}.test" for n in (3000, 2000, 1000, 0)]
    assert pages == 5
    assert handles(list_accounts(accounts.db, "deactivated", limit=5)) == []
    assert len(list_accounts(accounts.db, "active", limit=5).accounts) == 5


async def test_a_hundred_thousand_accounts_hold_nobody_up(accounts: Accounts) -> None:
    fill(accounts.db, MANY)
    last = f"{iso_of(1_700_000_000 + 60)} did:plc:{60:024d}"
    steps: tuple[Callable[[], AccountPage], ...] = (
        lambda: search_accounts(accounts.db, "user", after="user099990.test", limit=50),
        lambda: search_accounts(accounts.db, "user0@", after="user099990@", limit=50),
        lambda: search_accounts(
            accounts.db, "did:plc:", after=f"did:plc:{MANY - 9:024d}", limit=50
        ),
        lambda: list_accounts(accounts.db, after=last, limit=50),
        lambda: list_accounts(accounts.db, "deactivated", limit=50),
    )
    with loop_blocks() as seen:
        for step in steps:
            await asyncio.sleep(0)
            step()
    assert seen.longest_ms < 50, seen.where


async def test_the_last_page_of_a_list_costs_as_little_as_the_first(accounts: Accounts) -> None:
    fill(accounts.db, 20_000)
    newest = accounts.store.list_page(limit=1, after=(iso_of(1_700_000_000 + 19_990), ""))
    after = (newest[0].created_at, newest[0].did)
    for read in (accounts.store.list_page, accounts.repo_roots.list):
        # Reading 20,000 rows takes a hundred times as many.
        assert instructions_of(accounts.db, partial(read, limit=5, after=after)) < 2_000


def instructions_of(db: Database, read: Callable[[], object]) -> int:
    """How many instructions SQLite runs, to the next hundred."""
    calls = count(1)
    db.connection.set_progress_handler(lambda: next(calls) < 0, 100)
    read()
    db.connection.set_progress_handler(None)
    return 100 * next(calls)
