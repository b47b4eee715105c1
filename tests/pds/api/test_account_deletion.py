"""com.atproto.server: deleting an account with its password and a token sent by mail."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from tests.pds.api.mailbox import (
    DELETION,
    LIFETIME_S,
    RESET,
    WRONG_TOKEN,
    Mailbox,
    get_session,
    let_time_pass,
    login,
)
from tests.pds.api.moderation import NOTE, make_inactive
from tests.pds.conftest import Account, Pds, Reply
from tests.pds.events import kinds_of, read_events

pytestmark = pytest.mark.usefixtures("pds_with_mail")

DELETE = "com.atproto.server.deleteAccount"


async def delete(pds: Pds, account: Account, token: str, **changes: Any) -> Reply:
    body = {"did": account.did, "password": account.password, "token": token}
    return await pds.post(DELETE, body | changes)


async def test_an_account_is_deleted_without_a_session(
    pds: Pds, mailbox: Mailbox, alice: Account, bob: Account
) -> None:
    await pds.post_text(alice)
    token = await mailbox.token(DELETION, alice)
    reply = await delete(pds, alice, token.lower())
    assert (reply.status, reply.body) == (200, b"")
    events = [event for event in read_events(pds) if event.did == alice.did]
    assert kinds_of(events) == ["account"]
    assert (events[0].body["active"], events[0].body["status"]) == (False, "deleted")
    repo = await pds.get("com.atproto.sync.getRepo", did=alice.did)
    assert repo.error == (400, "RepoNotFound")
    listed = await pds.get("com.atproto.sync.listRepos")
    assert [one["did"] for one in listed.json["repos"]] == [bob.did]
    # Asked twice, it is a stranger.
    assert (await delete(pds, alice, token)).json["message"] == "account not found"


async def test_sessions_and_passwords_of_a_deleted_account_are_worth_nothing(
    pds: Pds, mailbox: Mailbox, alice: Account
) -> None:
    reset = await mailbox.token(RESET, alice)
    assert (await delete(pds, alice, await mailbox.token(DELETION, alice))).status == 200
    assert (await get_session(pds, alice))["error"] == "InvalidRequest"
    renewed = await pds.post("com.atproto.server.refreshSession", headers=alice.refresh_auth)
    assert renewed.error == (400, "InvalidRequest")
    assert (await login(pds, alice, alice.password)).error == (401, "AuthenticationRequired")
    body = {"repo": alice.did, "collection": NOTE, "record": {"$type": NOTE}}
    written = await pds.post("com.atproto.repo.createRecord", body, alice.auth)
    assert written.error == (403, "AccountNotFound")
    spent = await pds.post("com.atproto.server.resetPassword", {"token": reset, "password": "new"})
    assert spent.error == (400, "InvalidToken")


async def test_handle_and_address_are_free_again(
    pds: Pds, mailbox: Mailbox, alice: Account
) -> None:
    assert (await delete(pds, alice, await mailbox.token(DELETION, alice))).status == 200
    again = await pds.create_account("alice")
    assert again.did != alice.did


@pytest.mark.parametrize("state", ["takendown", "deactivated"])
async def test_an_account_in_any_state_can_be_deleted(
    pds: Pds, mailbox: Mailbox, alice: Account, state: str
) -> None:
    token = await mailbox.token(DELETION, alice)
    await make_inactive(pds, alice, state)
    assert (await delete(pds, alice, token)).status == 200


async def test_each_refusal_leaves_the_account_whole(
    pds: Pds, mailbox: Mailbox, alice: Account, bob: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pds.post_text(alice)
    app = await pds.post("com.atproto.server.createAppPassword", {"name": "x"}, alice.auth)
    token = await mailbox.token(DELETION, alice)
    of_bob = await mailbox.token(DELETION, bob)
    of_reset = await mailbox.token(RESET, alice)
    unauthorized = (401, "AuthenticationRequired")
    for changes, error, message in (
        ({"password": "wrong"}, unauthorized, "Invalid did or password"),
        ({"password": app.json["password"]}, unauthorized, "Invalid did or password"),
        (
            {"password": "x" * 513},
            unauthorized,
            "Password too long. Consider resetting your password.",
        ),
        ({"did": "did:plc:" + "a" * 24}, (400, "InvalidRequest"), "account not found"),
        ({"token": WRONG_TOKEN}, (400, "InvalidToken"), "Token is invalid"),
        ({"token": of_bob}, (400, "InvalidToken"), "Token is invalid"),
        ({"token": of_reset}, (400, "InvalidToken"), "Token is invalid"),
        ({"token": ""}, (400, "InvalidToken"), "Token is invalid"),
    ):
        reply = await delete(pds, alice, **({"token": token} | changes))
        assert (reply.error, reply.json["message"]) == (error, message)
    let_time_pass(pds, monkeypatch, LIFETIME_S + 1)
    assert (await delete(pds, alice, token)).error == (400, "ExpiredToken")
    assert (await get_session(pds, alice))["active"] is True
    assert (await pds.get("com.atproto.sync.getRepo", did=alice.did)).status == 200


async def test_a_password_is_checked_no_faster_than_at_login(
    pds: Pds, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pds.ctx.accounts.logins, "_min_login_s", 0.1)
    for password in ("wrong", alice.password, "x" * 600):
        started = time.monotonic()
        await delete(pds, alice, WRONG_TOKEN, password=password)
        assert time.monotonic() - started >= 0.1


async def test_an_app_cannot_ask_for_deletion(pds: Pds, alice: Account, mailbox: Mailbox) -> None:
    app = await pds.post("com.atproto.server.createAppPassword", {"name": "x"}, alice.auth)
    session = await login(pds, alice, app.json["password"])
    auth = {"Authorization": f"Bearer {session.json['accessJwt']}"}
    assert (await pds.post(DELETION, headers=auth)).error == (400, "InvalidToken")
    assert mailbox.server.mails == []


async def test_deleting_twice_at_once_deletes_once(
    pds: Pds, mailbox: Mailbox, alice: Account
) -> None:
    token = await mailbox.token(DELETION, alice)
    replies = await asyncio.gather(*(delete(pds, alice, token) for _ in range(3)))
    # Whose turn comes after the deletion finds no password.
    assert {reply.status for reply in replies} <= {200, 400, 401}
    assert 200 in {reply.status for reply in replies}
    assert kinds_of([one for one in read_events(pds) if one.did == alice.did]) == ["account"]
