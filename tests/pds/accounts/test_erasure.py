"""Erasing an account from the service database, and only that account."""

from __future__ import annotations

from typing import Any

import pytest

from pds.accounts.accounts import Accounts
from pds.accounts.errors import InvalidInviteCode
from pds.accounts.invite_codes import ADMIN
from pds.accounts.sessions import Session
from repo.syntax import Did
from tests.pds.accounts.conftest import ALICE, BOB, MakeAccount

CAROL = Did("did:plc:carolccccccccccccccccccc")
AT = "2026-01-01T00:00:00.000Z"


def add_code(accounts: Accounts, code: str, *, uses: int, owner: str = ADMIN) -> None:
    accounts.db.run(
        "INSERT INTO invite_code (code, availableUses, disabled, forAccount, createdBy, createdAt)"
        " VALUES (?, ?, 0, ?, ?, ?)",
        (code, uses, owner, owner, AT),
    )


def codes(accounts: Accounts) -> list[tuple[Any, ...]]:
    """What is known of each code."""
    return accounts.db.all(
        "SELECT code, availableUses, disabled, forAccount, createdBy FROM invite_code ORDER BY code"
    )


def sign_in(accounts: Accounts, did: Did, device: str) -> None:
    """Leave what OAuth leaves of a sign-in on a device."""
    db, name = accounts.db, f"{did[-1]}-{device}"
    db.run("INSERT OR IGNORE INTO device VALUES (?, ?, 'b', '::1', ?)", (device, device, AT))
    db.run("INSERT INTO account_device VALUES (?, ?, ?, ?)", (did, device, AT, AT))
    db.run("INSERT INTO device_account VALUES (?, ?, ?, 1, '[]')", (did, device, AT))
    db.run("INSERT INTO authorized_client VALUES (?, ?, ?, ?, '{}')", (did, name, AT, AT))
    db.run(
        "INSERT INTO authorization_request VALUES (?, ?, ?, 'client', 'null', '{}', ?, NULL)",
        (name, did, device, AT),
    )
    db.run(
        "INSERT INTO token (did, tokenId, createdAt, updatedAt, expiresAt, clientId, clientAuth,"
        " deviceId, parameters) VALUES (?, ?, ?, ?, ?, 'client', 'null', ?, '{}')",
        (did, name, AT, AT, AT, device),
    )
    db.run(
        "INSERT INTO used_refresh_token SELECT tokenId, id FROM token WHERE tokenId = ?", (name,)
    )


OAUTH_TABLES = (
    *("account_device", "device_account", "authorized_client", "authorization_request"),
    *("token", "used_refresh_token"),
)


async def test_sign_ins_and_their_devices_go_and_those_of_others_stay(
    accounts: Accounts, alice: Session, make_account: MakeAccount
) -> None:
    await make_account(BOB, "bob.test", email="bob@example.com", password="bob-pass")
    for did, device in ((ALICE, "hers"), (ALICE, "both"), (BOB, "both"), (BOB, "his")):
        sign_in(accounts, did, device)
    await accounts.delete_account(ALICE)
    left = accounts.db.all("SELECT id FROM device ORDER BY id")
    assert left == [("both",), ("his",)]
    for table in OAUTH_TABLES:
        assert accounts.db.value(f"SELECT count(*) FROM {table}") == 2, table


async def test_a_code_that_made_the_account_stays_used(
    accounts: Accounts, make_account: MakeAccount
) -> None:
    add_code(accounts, "one", uses=1)
    add_code(accounts, "two", uses=2)
    await make_account(ALICE, "alice.test", invite_code="one")
    await make_account(BOB, "bob.test", invite_code="two")
    for did in (ALICE, BOB):
        await accounts.delete_account(did)
    assert accounts.db.value("SELECT count(*) FROM invite_code_use") == 0
    with pytest.raises(InvalidInviteCode):
        await make_account(CAROL, "carol.test", invite_code="one")
    await make_account(CAROL, "carol.test", invite_code="two")
    with pytest.raises(InvalidInviteCode):
        await make_account(ALICE, "alice.test", invite_code="two")


async def test_codes_of_the_account_go_but_for_those_that_made_others(
    accounts: Accounts, alice: Session, make_account: MakeAccount
) -> None:
    add_code(accounts, "hers-unused", uses=1, owner=ALICE)
    add_code(accounts, "hers-used", uses=2, owner=ALICE)
    add_code(accounts, "other", uses=1)
    await make_account(BOB, "bob.test", invite_code="hers-used")
    await accounts.delete_account(ALICE)
    assert codes(accounts) == [
        ("hers-used", 2, 1, "deleted", "deleted"),
        ("other", 1, 0, "admin", "admin"),
    ]
    invited = accounts.invites.used_by([BOB])
    assert invited[BOB].code == "hers-used"
    for code in ("hers-used", "hers-unused"):
        with pytest.raises(InvalidInviteCode):
            await make_account(CAROL, "carol.test", invite_code=code)


async def test_a_stranger_is_erased_without_effect(accounts: Accounts, alice: Session) -> None:
    add_code(accounts, "code", uses=1, owner=ALICE)
    await accounts.delete_account(BOB)
    assert accounts.find_account(ALICE) is not None
    assert len(codes(accounts)) == 1
