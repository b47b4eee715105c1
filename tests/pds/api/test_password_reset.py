"""com.atproto.server: a new password with a token sent by mail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from pds.accounts.hashing import Hashing
from pds.mail.transport import MailNotSent
from repo.syntax import Did
from tests.pds.api.mailbox import (
    CONFIRMATION,
    LIFETIME_S,
    RESET,
    WRONG_TOKEN,
    Mailbox,
    let_time_pass,
    login,
)
from tests.pds.api.moderation import make_inactive
from tests.pds.conftest import Account, Pds, Reply

pytestmark = pytest.mark.usefixtures("pds_with_mail")

SESSION = "com.atproto.server.getSession"
APP_PASSWORD = "com.atproto.server.createAppPassword"
SET = "com.atproto.server.resetPassword"


async def reset(pds: Pds, token: str, new: str = "new-pass") -> Reply:
    return await pds.post(SET, {"token": token, "password": new})


async def test_a_reset_sets_the_password_and_ends_every_session(
    pds: Pds, mailbox: Mailbox, alice: Account
) -> None:
    pds.ctx.accounts.db.run(
        "INSERT INTO token (did, tokenId, createdAt, updatedAt, expiresAt, clientId, clientAuth,"
        " parameters) VALUES (?, 'tok-1', '', '', '', 'client', 'null', '{}')",
        (alice.did,),
    )
    token = await mailbox.token(RESET, alice)
    reply = await reset(pds, token.lower())
    assert (reply.status, reply.body) == (200, b"")
    assert (await login(pds, alice, "new-pass")).status == 200
    assert (await login(pds, alice, alice.password)).error == (401, "AuthenticationRequired")
    renewed = await pds.post("com.atproto.server.refreshSession", headers=alice.refresh_auth)
    assert renewed.error == (400, "ExpiredToken")
    assert pds.ctx.accounts.db.value("SELECT count(*) FROM token") == 0
    assert (await reset(pds, token)).error == (400, "InvalidToken")


async def test_after_a_reset_an_older_access_token_opens_nothing(
    pds: Pds, mailbox: Mailbox, alice: Account
) -> None:
    token = await mailbox.token(RESET, alice)
    assert (await pds.get(SESSION, alice.auth)).status == 200
    assert (await reset(pds, token)).status == 200
    made = await pds.post(APP_PASSWORD, {"name": "phone"}, alice.auth)
    # What clients renew a session for, and then ask for the password.
    expired = {"error": "ExpiredToken", "message": "Token has been revoked"}
    assert (made.status, made.json) == (400, expired)
    assert (await pds.get(SESSION, alice.auth)).json == expired
    alice.access_jwt = (await login(pds, alice, "new-pass")).json["accessJwt"]
    assert (await pds.post(APP_PASSWORD, {"name": "phone"}, alice.auth)).status == 200


async def test_a_body_that_comes_in_slowly_does_not_outlive_its_session(
    pds: Pds, alice: Account
) -> None:
    """A request for an app password is begun with a token that then is void."""
    body = b'{"name":"phone"}'
    begun, rest = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield body[:5]
        begun.set()
        await rest.wait()
        yield body[5:]

    headers = {**alice.auth, "Content-Type": "application/json"}
    making = asyncio.create_task(
        pds.request("POST", f"/xrpc/{APP_PASSWORD}", headers=headers, data=slowly())
    )
    await begun.wait()
    # Its credentials have been looked at once the server has been asked something else.
    assert (await pds.get(SESSION, alice.auth)).status == 200
    set_by_admin = {"did": alice.did, "password": "new-pass"}
    updated = await pds.post("com.atproto.admin.updateAccountPassword", set_by_admin, pds.admin)
    assert updated.status == 200
    rest.set()
    assert (await making).error == (400, "ExpiredToken")
    assert pds.ctx.accounts.app_passwords.list(Did(alice.did)) == []


async def test_the_owner_is_told_of_a_reset_and_of_the_app_passwords_that_are_left(
    pds: Pds, mailbox: Mailbox, alice: Account
) -> None:
    made = await pds.post(APP_PASSWORD, {"name": "old phone"}, alice.auth)
    token = await mailbox.token(RESET, alice)
    assert (await reset(pds, token)).status == 200
    mail = mailbox.server.mails[-1]
    assert (mail.recipients, mail.message["Subject"]) == ([alice.email], "Password Changed")
    day = made.json["createdAt"][:10]
    for form in ("plain", "html"):
        assert f"old phone, created on {day}" in mail.body(form)
        assert made.json["password"] not in mail.body(form)


async def test_a_reset_holds_although_its_owner_cannot_be_told(
    pds: Pds, mailbox: Mailbox, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = await mailbox.token(RESET, alice)

    async def fail(*_: object) -> None:
        raise MailNotSent

    monkeypatch.setattr(pds.ctx.mailer, "send_password_changed", fail)
    assert (await reset(pds, token)).status == 200
    assert (await login(pds, alice, "new-pass")).status == 200


@pytest.mark.parametrize("state", ["takendown", "deactivated"])
async def test_an_account_in_any_state_may_have_a_new_password(
    pds: Pds, mailbox: Mailbox, alice: Account, state: str
) -> None:
    await make_inactive(pds, alice, state)
    assert (await reset(pds, await mailbox.token(RESET, alice))).status == 200


async def test_the_mail_names_the_account_and_goes_to_its_address_in_any_letter_case(
    pds: Pds, mailbox: Mailbox, alice: Account
) -> None:
    assert (await pds.post(RESET, {"email": alice.email.upper()})).status == 200
    (mail,) = mailbox.server.mails
    assert mail.recipients == [alice.email]
    assert "for the account alice.test" in mail.body("plain")
    assert mail.message["From"] == "noreply@pds.example.com"


@pytest.mark.parametrize("email", ["nobody@example.com", "", "no address", "%"])
async def test_an_address_without_an_account_is_told_so(
    pds: Pds, mailbox: Mailbox, alice: Account, email: str
) -> None:
    reply = await pds.post(RESET, {"email": email})
    assert reply.json == {
        "error": "InvalidRequest",
        "message": "account does not have an email address",
    }
    assert mailbox.server.mails == []


async def test_only_the_last_token_that_was_sent_for_this_resets(
    pds: Pds, mailbox: Mailbox, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await mailbox.token(RESET, alice)
    last = await mailbox.token(RESET, alice)
    of_confirmation = await mailbox.token(CONFIRMATION, alice)
    for token in (first, of_confirmation, WRONG_TOKEN, ""):
        reply = await reset(pds, token)
        assert reply.json == {"error": "InvalidToken", "message": "Token is invalid"}
    let_time_pass(pds, monkeypatch, LIFETIME_S + 1)
    reply = await reset(pds, last)
    assert reply.json == {"error": "ExpiredToken", "message": "Token is expired"}
    assert (await login(pds, alice, alice.password)).status == 200


async def test_a_token_is_good_for_one_of_many_requests_at_once(
    pds: Pds, mailbox: Mailbox, alice: Account
) -> None:
    token = await mailbox.token(RESET, alice)
    replies = await asyncio.gather(*(reset(pds, token, f"pass-{n}") for n in range(4)))
    assert sorted(reply.status for reply in replies) == [200, 400, 400, 400]
    won = next(n for n, reply in enumerate(replies) if reply.status == 200)
    assert (await login(pds, alice, f"pass-{won}")).status == 200


@pytest.mark.parametrize("length", [0, 257])
async def test_a_password_of_an_unusable_length_is_refused_and_the_token_kept(
    pds: Pds, mailbox: Mailbox, alice: Account, length: int
) -> None:
    token = await mailbox.token(RESET, alice)
    reply = await reset(pds, token, "x" * length)
    assert reply.json == {"error": "InvalidRequest", "message": "Invalid password length."}
    assert (await reset(pds, token, "x" * 256)).status == 200
    assert (await login(pds, alice, "x" * 256)).status == 200


async def test_a_guessed_token_costs_the_server_no_hash(
    pds: Pds, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[str] = []

    async def note(_hashing: Hashing, password: str) -> str:
        hashed.append(password)
        return "x:x"

    monkeypatch.setattr(Hashing, "hash", note)
    assert (await reset(pds, WRONG_TOKEN)).error == (400, "InvalidToken")
    assert hashed == []
