"""Who is signed in in a browser, and what people have agreed to, as the reference stores it."""

from __future__ import annotations

import json

from pds.accounts.accounts import Accounts
from pds.oauth.devices.consents import Consents
from pds.oauth.devices.device_sessions import DeviceSessions, Visitor
from pds.oauth.devices.sign_ins import MAX_ACCOUNTS, SignIns
from repo.syntax import Did
from tests.pds.accounts.conftest import ALICE, BOB, FakeClock

VISITOR = Visitor(None, None, "192.0.2.1", "Firefox", None)


def _add_accounts(accounts: Accounts, *dids: Did) -> None:
    for number, did in enumerate(dids):
        accounts.db.run("INSERT INTO actor (did, handle, createdAt) VALUES (?, ?, '')", (did, did))
        accounts.db.run(
            "INSERT INTO account (did, email, passwordScrypt) VALUES (?, ?, '')", (did, f"{number}")
        )


async def test_a_sign_in_is_remembered_until_it_is_forgotten(
    accounts: Accounts, clock: FakeClock
) -> None:
    _add_accounts(accounts, ALICE, BOB)
    device = await DeviceSessions(accounts.db, b"", clock=clock).recognise(VISITOR)
    sign_ins = SignIns(accounts.db, clock=clock)
    await sign_ins.remember(ALICE, device.id)
    clock.now_s += 60
    await sign_ins.remember(BOB, device.id)
    assert [one.did for one in sign_ins.of_device(device.id)] == [BOB, ALICE]
    clock.now_s += 60
    await sign_ins.remember(ALICE, device.id)
    again = sign_ins.find(ALICE, device.id)
    assert again is not None
    assert again.created_at < again.updated_at
    assert sign_ins.of_account(ALICE)[0].user_agent == "Firefox"
    await sign_ins.forget(ALICE, device.id)
    assert sign_ins.find(ALICE, device.id) is None
    assert [one.did for one in sign_ins.of_device(device.id)] == [BOB]


async def test_a_browser_remembers_the_accounts_used_last(
    accounts: Accounts, clock: FakeClock
) -> None:
    dids = [Did(f"did:plc:{letter * 24}") for letter in "abcdefghijkl"]
    _add_accounts(accounts, *dids)
    device = await DeviceSessions(accounts.db, b"", clock=clock).recognise(VISITOR)
    sign_ins = SignIns(accounts.db, clock=clock)
    for did in dids:
        clock.now_s += 1
        await sign_ins.remember(did, device.id)
    remembered = [one.did for one in sign_ins.of_device(device.id)]
    assert remembered == dids[::-1][:MAX_ACCOUNTS]


async def test_consent_grows_and_can_be_taken_back(accounts: Accounts, clock: FakeClock) -> None:
    _add_accounts(accounts, ALICE)
    consents = Consents(accounts.db, clock=clock)
    app = "https://app.example.com/client.json"
    assert consents.find(ALICE, app) is None
    await consents.remember(ALICE, app, frozenset({"atproto"}))
    await consents.remember(ALICE, app, frozenset({"atproto", "blob:*/*"}))
    assert consents.find(ALICE, app) == frozenset({"atproto", "blob:*/*"})
    stored = accounts.db.value("SELECT data FROM authorized_client")
    assert json.loads(stored) == {"authorizedScopes": ["atproto", "blob:*/*"]}
    await consents.forget(ALICE, app)
    assert consents.find(ALICE, app) is None
