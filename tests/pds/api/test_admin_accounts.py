"""com.atproto.admin: what is shown of accounts, and changes in their owners' place."""

from __future__ import annotations

from typing import Any

import pytest

from database.connection import Database
from pds.accounts.email_tokens import EmailTokenPurpose
from repo.syntax import Did
from tests.pds.api.conftest import HandleWorld
from tests.pds.api.moderation import Recorder, applied, make_inactive, update_account
from tests.pds.api.signups import make_invite_codes, stored_dids
from tests.pds.conftest import Account, Pds, Reply
from tests.pds.events import kinds_of

ADMIN = "com.atproto.admin"
NOBODY = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"


async def info(pds: Pds, did: str) -> Reply:
    return await pds.get(f"{ADMIN}.getAccountInfo", pds.admin, did=did)


async def change(pds: Pds, method: str, **body: Any) -> Reply:
    return await pds.post(f"{ADMIN}.{method}", body, pds.admin)


async def login(pds: Pds, identifier: str, password: str) -> Reply:
    body = {"identifier": identifier, "password": password}
    return await pds.post("com.atproto.server.createSession", body)


async def create_without_login(pds: Pds) -> str:
    """An account without a password: its email address is not kept either."""
    body = {"handle": "nopass.test", "email": "nopass@example.com"}
    created = await pds.post("com.atproto.server.createAccount", body)
    return str(created.json["did"])


async def invite(pds: Pds, name: str, code: str) -> str:
    """Let somebody sign up with a code. Returns the DID."""
    body = {
        "handle": f"{name}.test",
        "email": f"{name}@example.com",
        "password": "password",
        "inviteCode": code,
    }
    return str((await pds.post("com.atproto.server.createAccount", body)).json["did"])


# --- getAccountInfo, getAccountInfos


async def test_an_account_is_shown_with_what_it_was_made_with(pds: Pds, alice: Account) -> None:
    shown = (await info(pds, alice.did)).json
    assert shown.pop("indexedAt").endswith("Z")
    assert shown == {
        "did": alice.did,
        "handle": "alice.test",
        "email": "alice@example.com",
        "invites": [],
        "invitesDisabled": False,
    }


async def test_an_account_is_shown_with_its_invites_and_who_used_them(
    pds: Pds, alice: Account
) -> None:
    (first,) = await make_invite_codes(pds, 1, uses=2, account=alice.did)
    bob = await invite(pds, "bob", first)
    carol = await invite(pds, "carol", first)
    (code,) = (await info(pds, alice.did)).json["invites"]
    # The newest use first.
    assert [use["usedBy"] for use in code.pop("uses")] == [carol, bob]
    assert code.pop("createdAt").endswith("Z")
    assert code == {
        "code": first,
        "available": 2,
        "disabled": False,
        "forAccount": alice.did,
        "createdBy": "admin",
    }
    shown = (await info(pds, bob)).json
    assert shown["invites"] == []
    assert shown["invitedBy"]["code"] == first
    assert [use["usedBy"] for use in shown["invitedBy"]["uses"]] == [carol, bob]


async def test_an_account_without_a_login_is_shown_without_an_address(pds: Pds) -> None:
    did = await create_without_login(pds)
    shown = (await info(pds, did)).json
    assert set(shown) == {"did", "handle", "indexedAt", "invites", "invitesDisabled"}


async def test_an_account_without_a_handle_is_shown_with_an_invalid_one(
    pds: Pds, alice: Account
) -> None:
    db = pds.ctx.accounts.db
    with db.transaction():
        db.run("UPDATE actor SET handle = NULL WHERE did = ?", (alice.did,))
    assert (await info(pds, alice.did)).json["handle"] == "handle.invalid"


async def test_a_confirmed_address_and_a_deactivation_are_shown_with_their_times(
    pds: Pds, alice: Account
) -> None:
    did = Did(alice.did)
    token = await pds.ctx.accounts.email_tokens.create(did, EmailTokenPurpose.CONFIRM_EMAIL)
    await pds.ctx.accounts.emails.confirm(did, alice.email, token)
    await make_inactive(pds, alice, "deactivated")
    shown = (await info(pds, alice.did)).json
    assert shown["emailConfirmedAt"].endswith("Z")
    assert shown["deactivatedAt"].endswith("Z")


@pytest.mark.parametrize("state", ["deactivated", "takendown"])
async def test_inactive_accounts_are_shown(pds: Pds, alice: Account, state: str) -> None:
    await make_inactive(pds, alice, state)
    shown = (await info(pds, alice.did)).json
    assert (shown["handle"], shown["email"]) == (alice.handle, alice.email)


async def test_what_has_no_account_is_not_found(pds: Pds) -> None:
    reply = await info(pds, NOBODY)
    assert (reply.status, reply.json) == (
        400,
        {"error": "NotFound", "message": "Account not found"},
    )
    handle = await info(pds, "alice.test")
    assert handle.error == (400, "InvalidRequest")


async def test_several_accounts_are_shown_each_once_and_others_left_out(
    pds: Pds, alice: Account, bob: Account
) -> None:
    asked = [bob.did, NOBODY, alice.did, bob.did]
    reply = await pds.get(f"{ADMIN}.getAccountInfos", pds.admin, dids=asked)
    assert [one["did"] for one in reply.json["infos"]] == [bob.did, alice.did]
    assert reply.json["infos"][1] == (await info(pds, alice.did)).json
    none = await pds.get(f"{ADMIN}.getAccountInfos", pds.admin)
    assert none.error == (400, "InvalidRequest")


async def test_many_accounts_take_no_more_statements_than_one(
    pds: Pds, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (await make_invite_codes(pds, 1, uses=10))[0]
    dids = [await invite(pds, f"guest{number}", code) for number in range(4)]
    for did in dids:
        await make_invite_codes(pds, 2, account=did)
    statements: list[str] = []
    all_rows = Database.all

    def count(db: Database, sql: str, *values: Any) -> Any:
        statements.append(sql)
        return all_rows(db, sql, *values)

    monkeypatch.setattr(Database, "all", count)
    taken = []
    for some in (dids[:1], dids):
        statements.clear()
        reply = await pds.get(f"{ADMIN}.getAccountInfos", pds.admin, dids=some)
        assert len(reply.json["infos"]) == len(some)
        taken.append(len(statements))
    assert taken[0] == taken[1] > 0


# --- updateAccountHandle


async def test_the_administrator_gives_out_reserved_handles(
    pds: Pds, alice: Account, new_events: Recorder
) -> None:
    refused = await pds.post(
        "com.atproto.identity.updateHandle", {"handle": "admin.test"}, alice.auth
    )
    assert refused.error == (400, "HandleNotAvailable")
    reply = await change(pds, "updateAccountHandle", did=alice.did, handle="Admin.test")
    assert (reply.status, reply.body) == (200, b"")
    assert (await info(pds, alice.did)).json["handle"] == "admin.test"
    last = pds.plc.find_last(Did(alice.did))
    assert last is not None
    assert last.data is not None
    assert last.data.also_known_as == ("at://admin.test",)
    (event,) = new_events()
    assert (event.kind, event.body) == ("identity", {"did": alice.did, "handle": "admin.test"})


@pytest.mark.parametrize(
    ("handle", "error", "message"),
    [
        ("x", "InvalidRequest", 'Invalid handle (got "x") at $.handle'),
        ("bob.test", "HandleNotAvailable", "Handle already taken: bob.test"),
        ("al.test", "InvalidHandle", "Handle too short"),
        ("a.b.test", "InvalidHandle", "Invalid characters in handle"),
        ("alice.onion", "InvalidHandle", "Handle TLD is invalid or disallowed"),
        ("carol.example.com", "InvalidRequest", "External handle did not resolve to DID"),
    ],
)
@pytest.mark.usefixtures("bob", "handle_world")
async def test_other_rules_of_handles_are_the_administrator_s_too(
    pds: Pds, alice: Account, new_events: Recorder, handle: str, error: str, message: str
) -> None:
    new_events()
    reply = await change(pds, "updateAccountHandle", did=alice.did, handle=handle)
    assert (reply.status, reply.json) == (400, {"error": error, "message": message})
    assert (await info(pds, alice.did)).json["handle"] == alice.handle
    assert new_events() == []


async def test_an_external_handle_is_given_if_it_leads_to_the_account(
    pds: Pds, alice: Account, handle_world: HandleWorld
) -> None:
    handle_world.publish("carol.example.com", alice.did)
    reply = await change(pds, "updateAccountHandle", did=alice.did, handle="carol.example.com")
    assert reply.status == 200
    assert (await info(pds, alice.did)).json["handle"] == "carol.example.com"


async def test_handles_are_changed_of_deactivated_accounts_but_not_of_hidden_ones(
    pds: Pds, alice: Account
) -> None:
    await make_inactive(pds, alice, "deactivated")
    reply = await change(pds, "updateAccountHandle", did=alice.did, handle="dana.test")
    assert reply.status == 200
    await make_inactive(pds, alice, "takendown")
    for did in (alice.did, NOBODY):
        reply = await change(pds, "updateAccountHandle", did=did, handle="dora.test")
        assert reply.json == {"error": "InvalidRequest", "message": "Account not found"}


# --- updateAccountEmail


@pytest.mark.parametrize("name", ["did", "handle"])
async def test_an_address_is_changed_and_what_was_sent_to_the_old_one_is_void(
    pds: Pds, alice: Account, name: str
) -> None:
    did, accounts = Did(alice.did), pds.ctx.accounts
    token = await accounts.email_tokens.create(did, EmailTokenPurpose.CONFIRM_EMAIL)
    await accounts.emails.confirm(did, alice.email, token)
    await accounts.email_tokens.create(did, EmailTokenPurpose.RESET_PASSWORD)
    reply = await change(
        pds, "updateAccountEmail", account=getattr(alice, name), email="New@Example.com"
    )
    assert (reply.status, reply.body) == (200, b"")
    shown = (await info(pds, alice.did)).json
    assert shown["email"] == "new@example.com"
    assert "emailConfirmedAt" not in shown
    assert accounts.db.value("SELECT count(*) FROM email_token") == 0
    assert (await login(pds, "new@example.com", alice.password)).status == 200


async def test_addresses_that_cannot_be_had_are_refused(
    pds: Pds, alice: Account, bob: Account
) -> None:
    await make_inactive(pds, bob, "takendown")
    without_login = await create_without_login(pds)
    for account, email, message in (
        (alice.did, "bob@example.com", "This email address is already in use, please use a"),
        (alice.did, "nobody", "This email address is not supported, please use a different"),
        (NOBODY, "new@example.com", f"Account does not exist: {NOBODY}"),
        ("nobody.test", "new@example.com", "Account does not exist: nobody.test"),
        (without_login, "new@example.com", "The account has no email address and password"),
    ):
        reply = await change(pds, "updateAccountEmail", account=account, email=email)
        assert reply.error == (400, "InvalidRequest")
        assert reply.json["message"].startswith(message)
    assert (await info(pds, alice.did)).json["email"] == alice.email


async def test_the_address_of_an_inactive_account_can_be_changed(pds: Pds, alice: Account) -> None:
    await make_inactive(pds, alice, "takendown")
    reply = await change(pds, "updateAccountEmail", account=alice.handle, email="new@example.com")
    assert reply.status == 200
    assert (await info(pds, alice.did)).json["email"] == "new@example.com"


# --- updateAccountPassword


@pytest.mark.parametrize("state", ["active", "takendown"])
async def test_a_password_is_set_and_sessions_end(pds: Pds, alice: Account, state: str) -> None:
    if state == "takendown":
        await make_inactive(pds, alice, state)
    reply = await change(pds, "updateAccountPassword", did=alice.did, password="new-password")
    assert (reply.status, reply.body) == (200, b"")
    await update_account(pds, alice, takedown={"applied": False})
    assert (await login(pds, alice.handle, "new-password")).status == 200
    assert (await login(pds, alice.handle, alice.password)).error == (401, "AuthenticationRequired")
    renewed = await pds.post("com.atproto.server.refreshSession", headers=alice.refresh_auth)
    assert renewed.error == (400, "ExpiredToken")


async def test_passwords_that_cannot_be_set_are_refused(pds: Pds, alice: Account) -> None:
    without_login = await create_without_login(pds)
    for did, password, name, message in (
        (alice.did, "x" * 257, "InvalidRequest", "Invalid password length."),
        (NOBODY, "new-password", "AccountNotFound", "Account not found"),
        (
            without_login,
            "new-password",
            "InvalidRequest",
            f"The account has no email address and password: {without_login}",
        ),
    ):
        reply = await change(pds, "updateAccountPassword", did=did, password=password)
        assert (reply.status, reply.json) == (400, {"error": name, "message": message})
    assert (await login(pds, alice.handle, alice.password)).status == 200


# --- deleteAccount


@pytest.mark.parametrize("state", ["active", "takendown", "deactivated"])
async def test_a_deleted_account_leaves_its_event_alone(
    pds: Pds, alice: Account, new_events: Recorder, state: str
) -> None:
    await pds.post_text(alice)
    if state != "active":
        await make_inactive(pds, alice, state)
    reply = await change(pds, "deleteAccount", did=alice.did)
    assert (reply.status, reply.body) == (200, b"")
    (event,) = [event for event in new_events() if event.did == alice.did]
    assert event.kind == "account"
    assert event.body == {"did": alice.did, "active": False, "status": "deleted"}
    assert (await info(pds, alice.did)).error == (400, "NotFound")
    assert await stored_dids(pds) == []
    assert (await login(pds, alice.handle, alice.password)).error == (401, "AuthenticationRequired")
    status = await pds.get("com.atproto.sync.getRepoStatus", did=alice.did)
    assert status.error == (400, "RepoNotFound")
    again = await pds.create_account("alice")
    assert again.did != alice.did


async def test_deleting_who_is_not_here_is_an_error_and_announces_nothing(
    pds: Pds, alice: Account, new_events: Recorder
) -> None:
    reply = await change(pds, "deleteAccount", did=NOBODY)
    assert (reply.error, reply.json["message"]) == ((400, "AccountNotFound"), "Account not found")
    assert (await change(pds, "deleteAccount", did="nobody")).error == (400, "InvalidRequest")
    assert await stored_dids(pds) == [alice.did]
    assert (await change(pds, "deleteAccount", did=alice.did)).status == 200
    assert (await change(pds, "deleteAccount", did=alice.did)).error == (400, "AccountNotFound")
    assert [(event.did, event.kind) for event in new_events()] == [(alice.did, "account")]


async def test_a_repository_without_an_account_can_be_deleted(
    pds: Pds, alice: Account, new_events: Recorder
) -> None:
    """As one that a deletion, or a backup of `account.sqlite`, has left behind."""
    await pds.ctx.accounts.delete_account(pds.ctx.accounts.get_account(alice.did).did)
    assert (await change(pds, "deleteAccount", did=alice.did)).status == 200
    assert await stored_dids(pds) == []
    assert [event.body["status"] for event in new_events()] == ["deleted"]


async def test_a_deactivation_by_the_administrator_is_told_and_undone(
    pds: Pds, alice: Account, new_events: Recorder
) -> None:
    new_events()
    assert (await update_account(pds, alice, deactivated=applied())).status == 200
    assert kinds_of(new_events()) == ["account"]
    assert (await update_account(pds, alice, deactivated={"applied": False})).status == 200
    assert kinds_of(new_events()) == ["account", "identity", "sync"]
    assert (await pds.get("com.atproto.sync.getRepoStatus", did=alice.did)).json["active"] is True
