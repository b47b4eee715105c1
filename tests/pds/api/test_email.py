"""com.atproto.server: confirming an email address, and changing it."""

from __future__ import annotations

import asyncio

import pytest

from tests.pds.api.mailbox import (
    CONFIRMATION,
    DELETION,
    LIFETIME_S,
    RESET,
    UPDATE,
    WRONG_TOKEN,
    Mailbox,
    get_session,
    let_time_pass,
    login,
)
from tests.pds.api.moderation import make_inactive
from tests.pds.conftest import Account, Pds, Reply

pytestmark = pytest.mark.usefixtures("pds_with_mail")

CONFIRM = "com.atproto.server.confirmEmail"
CHANGE = "com.atproto.server.updateEmail"
NOT_SUPPORTED = "This email address is not supported, please use a different email."


async def confirm(pds: Pds, account: Account, token: str, email: str | None = None) -> Reply:
    body = {"email": email or account.email, "token": token}
    return await pds.post(CONFIRM, body, account.auth)


async def change(pds: Pds, account: Account, email: str, token: str | None = None) -> Reply:
    body = {"email": email} | ({} if token is None else {"token": token})
    return await pds.post(CHANGE, body, account.auth)


async def app_auth(pds: Pds, account: Account) -> dict[str, str]:
    """The headers of a session opened with an app password."""
    made = await pds.post("com.atproto.server.createAppPassword", {"name": "x"}, account.auth)
    session = await login(pds, account, made.json["password"])
    return {"Authorization": f"Bearer {session.json['accessJwt']}"}


# --- Confirming


async def test_an_address_is_confirmed_with_the_token_of_its_mail(
    pds: Pds, mailbox: Mailbox, alice: Account
) -> None:
    assert (await get_session(pds, alice))["emailConfirmed"] is False
    token = await mailbox.token(CONFIRMATION, alice)
    reply = await confirm(pds, alice, f" {token.lower()}\n", alice.email.upper())
    assert (reply.status, reply.body) == (200, b"")
    assert (await get_session(pds, alice))["emailConfirmed"] is True


async def test_an_app_may_confirm_and_a_deactivated_account_be_confirmed(
    pds: Pds, mailbox: Mailbox, alice: Account
) -> None:
    auth = await app_auth(pds, alice)
    await make_inactive(pds, alice, "deactivated")
    assert (await pds.post(CONFIRMATION, headers=auth)).status == 200
    token = await mailbox.token(CONFIRMATION, alice)
    body = {"email": alice.email, "token": token}
    assert (await pds.post(CONFIRM, body, auth)).status == 200


async def test_a_token_confirms_once(pds: Pds, mailbox: Mailbox, alice: Account) -> None:
    token = await mailbox.token(CONFIRMATION, alice)
    replies = await asyncio.gather(*(confirm(pds, alice, token) for _ in range(3)))
    assert sorted(reply.status for reply in replies) == [200, 400, 400]
    assert (await confirm(pds, alice, token)).error == (400, "InvalidToken")


async def test_only_the_last_token_of_the_account_and_purpose_confirms(
    pds: Pds, mailbox: Mailbox, alice: Account, bob: Account
) -> None:
    first = await mailbox.token(CONFIRMATION, alice)
    second = await mailbox.token(CONFIRMATION, alice)
    of_bob = await mailbox.token(CONFIRMATION, bob)
    of_reset = await mailbox.token(RESET, alice)
    for token in (first, of_bob, of_reset, WRONG_TOKEN, "", "x" * 100_000):
        reply = await confirm(pds, alice, token)
        assert reply.json == {"error": "InvalidToken", "message": "Token is invalid"}
        assert reply.status == 400
    assert (await get_session(pds, alice))["emailConfirmed"] is False
    assert (await confirm(pds, alice, second)).status == 200


async def test_a_token_confirms_for_a_quarter_of_an_hour(
    pds: Pds, mailbox: Mailbox, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = await mailbox.token(CONFIRMATION, alice)
    let_time_pass(pds, monkeypatch, LIFETIME_S + 1)
    reply = await confirm(pds, alice, token)
    assert reply.json == {"error": "ExpiredToken", "message": "Token is expired"}
    assert reply.status == 400
    assert (await get_session(pds, alice))["emailConfirmed"] is False


async def test_another_address_is_not_confirmed(pds: Pds, mailbox: Mailbox, alice: Account) -> None:
    token = await mailbox.token(CONFIRMATION, alice)
    reply = await confirm(pds, alice, token, "bob@example.com")
    assert reply.json == {"error": "InvalidEmail", "message": "invalid email"}
    assert (await confirm(pds, alice, token)).status == 200


@pytest.mark.parametrize("nsid", [CONFIRMATION, CONFIRM, UPDATE, CHANGE, DELETION])
async def test_who_is_taken_down_or_gone_or_nobody_is_refused(
    pds: Pds, mailbox: Mailbox, alice: Account, bob: Account, nsid: str
) -> None:
    await make_inactive(pds, alice, "takendown")
    body = {CONFIRM: {"email": "a@b.co", "token": "x"}, CHANGE: {"email": "a@b.co"}}.get(nsid)
    assert (await pds.post(nsid, body, alice.auth)).error == (401, "AccountTakedown")
    await pds.ctx.accounts.delete_account(pds.ctx.accounts.get_account(bob.did).did)
    assert (await pds.post(nsid, body, bob.auth)).error == (403, "AccountNotFound")
    assert (await pds.post(nsid, body)).error == (401, "AuthMissing")
    assert mailbox.server.mails == []


@pytest.mark.parametrize("nsid", [CONFIRMATION, UPDATE, DELETION])
async def test_an_account_without_an_address_gets_no_mail(
    pds: Pds, mailbox: Mailbox, nsid: str
) -> None:
    body = {"handle": "dana.test", "email": "dana@example.com"}
    made = await pds.post("com.atproto.server.createAccount", body)
    auth = {"Authorization": f"Bearer {made.json['accessJwt']}"}
    for method, given in ((nsid, None), (CHANGE, {"email": "a@b.co"})):
        reply = await pds.post(method, given, auth)
        assert reply.json == {
            "error": "InvalidRequest",
            "message": "account does not have an email address",
        }


# --- Changing


async def test_an_address_that_is_not_confirmed_is_changed_without_a_mail(
    pds: Pds, mailbox: Mailbox, alice: Account
) -> None:
    reply = await pds.post(UPDATE, headers=alice.auth)
    assert reply.json == {"tokenRequired": False}
    assert mailbox.server.mails == []
    reply = await change(pds, alice, "New.Address@Example.com")
    assert (reply.status, reply.body) == (200, b"")
    assert (await get_session(pds, alice))["email"] == "new.address@example.com"


async def test_a_confirmed_address_is_changed_with_a_token_sent_to_it(
    pds: Pds, mailbox: Mailbox, alice: Account
) -> None:
    await mailbox.confirm(alice)
    for token in (None, ""):
        reply = await change(pds, alice, "new@example.com", token)
        assert reply.json == {"error": "TokenRequired", "message": "confirmation token required"}
    reply = await mailbox.ask(UPDATE, alice)
    assert reply.json == {"tokenRequired": True}
    token = await mailbox.token(UPDATE, alice)
    assert (await change(pds, alice, "new@example.com", token.lower())).status == 200
    session = await get_session(pds, alice)
    assert (session["email"], session["emailConfirmed"]) == ("new@example.com", False)


async def test_a_change_voids_every_token_that_was_sent_to_the_old_address(
    pds: Pds, mailbox: Mailbox, alice: Account
) -> None:
    reset = await mailbox.token(RESET, alice)
    await mailbox.token(DELETION, alice)
    assert (await change(pds, alice, "new@example.com")).status == 200
    body = {"token": reset, "password": "stolen"}
    reply = await pds.post("com.atproto.server.resetPassword", body)
    assert reply.error == (400, "InvalidToken")
    assert pds.ctx.accounts.db.value("SELECT count(*) FROM email_token") == 0


async def test_a_wrong_token_changes_nothing_even_where_none_is_needed(
    pds: Pds, mailbox: Mailbox, alice: Account, bob: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await change(pds, alice, "new@example.com", WRONG_TOKEN)).error[1] == "InvalidToken"
    await mailbox.confirm(alice)
    await mailbox.confirm(bob)
    token = await mailbox.token(UPDATE, alice)
    of_bob = await mailbox.token(UPDATE, bob)
    of_reset = await mailbox.token(RESET, alice)
    for wrong in (WRONG_TOKEN, of_bob, of_reset):
        assert (await change(pds, alice, "new@example.com", wrong)).error[1] == "InvalidToken"
    let_time_pass(pds, monkeypatch, LIFETIME_S + 1)
    assert (await change(pds, alice, "new@example.com", token)).error == (400, "ExpiredToken")
    session = await get_session(pds, alice)
    assert (session["email"], session["emailConfirmed"]) == (alice.email, True)


@pytest.mark.parametrize("state", ["active", "takendown", "deactivated"])
async def test_an_address_that_somebody_has_is_refused_in_any_letter_case(
    pds: Pds, alice: Account, bob: Account, state: str
) -> None:
    if state != "active":
        await make_inactive(pds, bob, state)
    reply = await change(pds, alice, "BOB@example.com")
    assert reply.json == {
        "error": "InvalidRequest",
        "message": "This email address is already in use, please use a different email.",
    }
    assert reply.status == 400
    assert (await change(pds, alice, alice.email)).status == 200


async def test_one_of_many_gets_an_address_that_all_want_at_once(pds: Pds) -> None:
    accounts = [await pds.create_account() for _ in range(4)]
    replies = await asyncio.gather(*(change(pds, one, "x@example.com") for one in accounts))
    assert sorted(reply.status for reply in replies) == [200, 400, 400, 400]


@pytest.mark.parametrize("email", ["", "no", "a@b", "a@mailinator.com", "a@b.co\r\nBcc: c@d.de"])
async def test_what_is_no_address_to_write_to_is_refused(
    pds: Pds, alice: Account, email: str
) -> None:
    reply = await change(pds, alice, email)
    assert reply.json == {"error": "InvalidRequest", "message": NOT_SUPPORTED}
    assert (await get_session(pds, alice))["email"] == alice.email


@pytest.mark.parametrize("nsid", [UPDATE, CHANGE])
async def test_an_app_cannot_change_the_address(pds: Pds, alice: Account, nsid: str) -> None:
    auth = await app_auth(pds, alice)
    body = {"email": "new@example.com"} if nsid == CHANGE else None
    assert (await pds.post(nsid, body, auth)).error == (400, "InvalidToken")
    assert (await get_session(pds, alice))["email"] == alice.email
