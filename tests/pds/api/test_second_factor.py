"""com.atproto.server: sessions and addresses of accounts that take a second factor."""

from __future__ import annotations

import re
from typing import Any

import pyotp
import pytest

from pds.accounts.email_tokens import EmailTokenPurpose
from pds.mail.message import Mail
from pds.mail.transport import MailNotSent
from pds.second_factors import mailed_codes
from pds.second_factors.guesses import PLACE_LIMIT
from repo.syntax import Did
from tests.pds.conftest import Account, Pds, Reply

CREATE = "com.atproto.server.createSession"
UPDATE = "com.atproto.server.updateEmail"
REQUIRED = (401, "AuthFactorTokenRequired")
WRONG = {"error": "InvalidToken", "message": "Token is invalid"}


@pytest.fixture
def mails(pds: Pds) -> list[Mail]:
    """Every mail that the server sends."""
    sent: list[Mail] = []
    pds.ctx.mailer.on_mail = sent.append
    return sent


async def log_in(pds: Pds, account: Account, **more: str) -> Reply:
    body = {"identifier": account.handle, "password": account.password, **more}
    return await pds.post(CREATE, body)


async def confirm_address(pds: Pds, account: Account) -> None:
    db = pds.ctx.accounts.db
    db.run("UPDATE account SET emailConfirmedAt = '2026-01-01' WHERE did = ?", (account.did,))


async def turn_on_mail(pds: Pds, account: Account) -> None:
    await confirm_address(pds, account)
    await pds.ctx.second_factors.turn_on_mail(Did(account.did))


async def set_up_app(pds: Pds, account: Account) -> tuple[pyotp.TOTP, tuple[str, ...]]:
    factors, did = pds.ctx.second_factors, Did(account.did)
    secret, _ = factors.apps.offer(did)
    totp = pyotp.TOTP(secret)
    codes = await factors.set_up_app(did, secret, totp.now())
    pds.ctx.accounts.db.run("UPDATE holdfast_totp SET lastStep = 0")
    return totp, codes


def code_in(mail: Mail) -> str:
    """The code of a mail, which both of its forms have."""
    found = re.search(r"\b[A-Z2-7]{5}-[A-Z2-7]{5}\b", mail.text)
    assert found is not None
    assert (mail.subject, found[0] in mail.html) == ("Sign-in Code", True)
    return found[0]


async def test_the_official_app_signs_in_with_a_mailed_code(
    pds: Pds, alice: Account, mails: list[Mail]
) -> None:
    await turn_on_mail(pds, alice)
    reply = await log_in(pds, alice)
    assert reply.error == REQUIRED
    (mail,) = mails
    assert mail.to == alice.email
    signed_in = await log_in(pds, alice, authFactorToken=code_in(mail))
    assert (signed_in.status, signed_in.json["emailAuthFactor"]) == (200, True)
    assert (await log_in(pds, alice, authFactorToken=code_in(mail))).json == WRONG


async def test_codes_of_an_app_and_recovery_codes_go_into_the_same_field(
    pds: Pds, alice: Account, mails: list[Mail]
) -> None:
    totp, codes = await set_up_app(pds, alice)
    for code in ("", "   "):
        assert (await log_in(pds, alice, authFactorToken=code)).error == REQUIRED
    code = totp.now()
    assert (await log_in(pds, alice, authFactorToken=f" {code[:3]} {code[3:]} ")).status == 200
    assert (await log_in(pds, alice, authFactorToken=code)).json == WRONG
    assert (await log_in(pds, alice, authFactorToken=codes[0])).status == 200
    assert (await log_in(pds, alice, authFactorToken=codes[0])).json == WRONG
    assert mails == []


async def test_tokens_of_other_kinds_are_no_second_factor(pds: Pds, alice: Account) -> None:
    await set_up_app(pds, alice)
    await confirm_address(pds, alice)
    await pds.post("com.atproto.server.requestEmailUpdate", headers=alice.auth)
    made = await pds.post("com.atproto.server.createAppPassword", {"name": "x"}, alice.auth)
    others = alice.access_jwt, alice.refresh_jwt, await pds_token(pds, alice), alice.password
    for token in (*others, made.json["password"]):
        assert (await log_in(pds, alice, authFactorToken=token)).json == WRONG
    body = {"identifier": alice.handle, "password": alice.password}
    odd_ones: tuple[object, ...] = (123456, True, None, ["000000"], {})
    for odd in odd_ones:
        refused = await pds.post(CREATE, {**body, "authFactorToken": odd})
        assert refused.error == (400, "InvalidRequest")


async def test_app_passwords_and_open_sessions_go_on(pds: Pds, alice: Account) -> None:
    made = await pds.post("com.atproto.server.createAppPassword", {"name": "x"}, alice.auth)
    await set_up_app(pds, alice)
    body = {"identifier": alice.handle, "password": made.json["password"]}
    assert (await pds.post(CREATE, body)).status == 200
    renewed = await pds.post("com.atproto.server.refreshSession", headers=alice.refresh_auth)
    assert (renewed.status, "emailAuthFactor" in renewed.json) == (200, False)


async def test_a_password_that_is_known_does_not_tell_which_factors_there_are(
    pds: Pds, alice: Account, bob: Account, mails: list[Mail]
) -> None:
    await turn_on_mail(pds, alice)
    await set_up_app(pds, bob)
    for more in ({}, {"authFactorToken": "000000"}, {"authFactorToken": "AAAAA-AAAAA"}):
        of_alice, of_bob = await log_in(pds, alice, **more), await log_in(pds, bob, **more)
        assert (of_alice.status, of_alice.json) == (of_bob.status, of_bob.json)
    assert [mail.to for mail in mails] == [alice.email]


async def test_a_wrong_password_asks_for_no_factor_and_sends_no_mail(
    pds: Pds, alice: Account, mails: list[Mail]
) -> None:
    await turn_on_mail(pds, alice)
    body = {"identifier": alice.handle, "password": "wrong", "authFactorToken": "x"}
    assert (await pds.post(CREATE, body)).error == (401, "AuthenticationRequired")
    assert mails == []


async def test_an_attacker_with_the_password_does_not_lock_the_owner_out(
    pds: Pds, alice: Account, mails: list[Mail]
) -> None:
    totp, codes = await set_up_app(pds, alice)
    await turn_on_mail(pds, alice)
    for _ in range(PLACE_LIMIT):
        assert (await log_in(pds, alice, authFactorToken="000000")).json == WRONG
    refused = await log_in(pds, alice, authFactorToken=totp.now())
    assert refused.error == (429, "RateLimitExceeded")
    assert 0 < int(refused.headers["Retry-After"]) <= 3600
    for _ in range(3):
        assert (await log_in(pds, alice)).error == REQUIRED
    (mail,) = mails
    for code in (codes[0], code_in(mail)):
        assert (await log_in(pds, alice, authFactorToken=code)).status == 200


async def test_a_mail_that_cannot_be_sent_is_no_answer(
    pds: Pds, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise MailNotSent

    await turn_on_mail(pds, alice)
    monkeypatch.setattr(pds.ctx.mailer, "send_sign_in_code", fail)
    assert (await log_in(pds, alice)).error == REQUIRED


async def test_a_factor_that_was_removed_meanwhile_is_not_asked_for(
    pds: Pds, alice: Account
) -> None:
    totp, _ = await set_up_app(pds, alice)
    assert (await log_in(pds, alice)).error == REQUIRED
    await pds.ctx.second_factors.reset(Did(alice.did))
    assert (await log_in(pds, alice, authFactorToken=totp.now())).status == 200


# --- Turning mailed codes on and off, as the official app does


async def update(pds: Pds, account: Account, **body: Any) -> Reply:
    return await pds.post(UPDATE, {"email": account.email, **body}, account.auth)


async def test_mailed_codes_are_turned_on_at_once_and_off_with_a_mailed_token(
    pds: Pds, alice: Account, mails: list[Mail]
) -> None:
    refused = await update(pds, alice, emailAuthFactor=True)
    assert refused.error == (400, "InvalidRequest")
    assert "Confirm your email address" in refused.json["message"]
    await confirm_address(pds, alice)
    assert (await update(pds, alice, emailAuthFactor=True)).status == 200
    session = await pds.get("com.atproto.server.getSession", alice.auth)
    assert (session.json["emailAuthFactor"], session.json["emailConfirmed"]) == (True, True)

    assert (await update(pds, alice, emailAuthFactor=False)).error == (400, "TokenRequired")
    assert (await update(pds, alice, emailAuthFactor=False, token="AAAAA-AAAAA")).json == WRONG
    await pds.post("com.atproto.server.requestEmailUpdate", headers=alice.auth)
    token = await pds_token(pds, alice)
    assert (await update(pds, alice, emailAuthFactor=False, token=token)).status == 200
    assert (await update(pds, alice, emailAuthFactor=False, token=token)).json == WRONG
    signed_in = await log_in(pds, alice)
    assert (signed_in.status, signed_in.json["emailAuthFactor"]) == (200, False)


async def pds_token(pds: Pds, account: Account) -> str:
    """The token that was mailed for a change of the address."""
    token: str = pds.ctx.accounts.db.value(
        "SELECT token FROM email_token WHERE did = ? AND purpose = 'update_email'", (account.did,)
    )
    return token


async def test_a_new_address_turns_mailed_codes_neither_on_nor_off_unasked(
    pds: Pds, alice: Account
) -> None:
    await turn_on_mail(pds, alice)
    new = {"email": "new@example.com"}
    assert (await update(pds, alice, **new, emailAuthFactor=True)).status == 400
    assert (await update(pds, alice, **new, emailAuthFactor=False)).error[1] == "TokenRequired"
    await pds.post("com.atproto.server.requestEmailUpdate", headers=alice.auth)
    token = await pds_token(pds, alice)
    assert (await update(pds, alice, **new, token=token)).status == 200
    session = (await pds.get("com.atproto.server.getSession", alice.auth)).json
    assert (session["email"], session["emailAuthFactor"]) == ("new@example.com", True)


# --- A new address of an account that gets mailed codes


async def move_to(pds: Pds, account: Account, email: str) -> None:
    """Change the address, with the leave of the one before."""
    await pds.post("com.atproto.server.requestEmailUpdate", headers=account.auth)
    token = await pds_token(pds, account)
    assert (await update(pds, account, email=email, token=token)).status == 200


async def confirm(pds: Pds, account: Account, email: str) -> None:
    did = Did(account.did)
    token = await pds.ctx.accounts.email_tokens.create(did, EmailTokenPurpose.CONFIRM_EMAIL)
    body = {"email": email, "token": token}
    reply = await pds.post("com.atproto.server.confirmEmail", body, account.auth)
    assert reply.status == 200


async def test_codes_go_to_the_old_address_until_the_new_one_is_confirmed(
    pds: Pds, alice: Account, mails: list[Mail], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailed_codes, "PAUSE_S", 0)
    await turn_on_mail(pds, alice)
    await move_to(pds, alice, "Mistyped@example.com")
    mails.clear()
    assert (await log_in(pds, alice)).error == REQUIRED
    assert mails[-1].to == alice.email
    assert (await log_in(pds, alice, authFactorToken=code_in(mails[-1]))).status == 200

    await move_to(pds, alice, "right@example.com")
    assert mails[-1].to == alice.email
    assert (await log_in(pds, alice)).error == REQUIRED
    assert mails[-1].to == alice.email
    await confirm(pds, alice, "right@example.com")
    assert pds.ctx.accounts.db.value("SELECT count(*) FROM holdfast_kept_address") == 0
    assert (await log_in(pds, alice)).error == REQUIRED
    assert mails[-1].to == "right@example.com"


async def test_an_unconfirmed_address_that_gets_codes_is_not_changed_without_leave(
    pds: Pds, alice: Account, mails: list[Mail]
) -> None:
    await turn_on_mail(pds, alice)
    await move_to(pds, alice, "mistyped@example.com")
    for token in ({}, {"token": ""}):
        refused = await update(pds, alice, email="thief@example.com", **token)
        assert refused.error == (400, "TokenRequired")
    assert (await update(pds, alice, email="thief@example.com", token="AAAAA-AAAAA")).json == WRONG
    asked = await pds.post("com.atproto.server.requestEmailUpdate", headers=alice.auth)
    assert (asked.json, mails[-1].to) == ({"tokenRequired": True}, alice.email)


async def test_an_address_that_the_operator_sets_gets_the_codes(
    pds: Pds, alice: Account, mails: list[Mail]
) -> None:
    await turn_on_mail(pds, alice)
    await move_to(pds, alice, "mistyped@example.com")
    body = {"account": alice.did, "email": "set@example.com"}
    await pds.post("com.atproto.admin.updateAccountEmail", body, pds.admin)
    assert (await log_in(pds, alice)).error == REQUIRED
    assert mails[-1].to == "set@example.com"


# --- Required by the operator


@pytest.fixture
def pds_environ(request: pytest.FixtureRequest) -> dict[str, str]:
    required = request.node.get_closest_marker("usefixtures") is not None
    return {"PDS_REQUIRE_SECOND_FACTOR": "true"} if required else {}


@pytest.fixture
def required() -> None:
    """The operator requires second factors."""


@pytest.mark.usefixtures("required")
async def test_where_it_is_required_a_mistyped_address_can_be_corrected_before_it_is_used(
    pds: Pds, alice: Account, mails: list[Mail]
) -> None:
    asked = await pds.post("com.atproto.server.requestEmailUpdate", headers=alice.auth)
    assert asked.json == {"tokenRequired": False}
    assert (await update(pds, alice, email="right@example.com")).status == 200
    assert (await log_in(pds, alice)).error == REQUIRED
    assert mails[-1].to == "right@example.com"


@pytest.mark.usefixtures("required")
async def test_where_it_is_required_codes_that_are_turned_off_go_to_the_old_address_too(
    pds: Pds, alice: Account, mails: list[Mail]
) -> None:
    await turn_on_mail(pds, alice)
    await pds.post("com.atproto.server.requestEmailUpdate", headers=alice.auth)
    new = {"email": "mistyped@example.com", "token": await pds_token(pds, alice)}
    assert (await update(pds, alice, **new, emailAuthFactor=False)).status == 200
    assert (await log_in(pds, alice)).error == REQUIRED
    assert mails[-1].to == alice.email


@pytest.mark.usefixtures("required")
async def test_where_it_is_required_an_account_without_factors_gets_a_mail(
    pds: Pds, alice: Account, mails: list[Mail]
) -> None:
    reply = await log_in(pds, alice)
    assert reply.error == REQUIRED
    assert "email" in reply.json["message"]
    (mail,) = mails
    assert (await log_in(pds, alice, authFactorToken=code_in(mail))).status == 200
    assert pds.ctx.second_factors.of(Did(alice.did)).mail_since is not None


# --- The operator


async def test_the_operator_removes_lost_factors(pds: Pds, alice: Account) -> None:
    await set_up_app(pds, alice)
    path = f"/_holdfast/second-factors/{alice.handle}"
    assert (await pds.request("DELETE", path)).status == 401
    assert (await pds.request("DELETE", path, headers=alice.auth)).status == 401
    reply = await pds.request("DELETE", path, headers=pds.admin)
    assert reply.json["removed"] == {
        "authenticatorApp": True,
        "mailedCodes": False,
        "passkeys": 0,
        "recoveryCodes": 10,
    }
    assert (await log_in(pds, alice)).status == 200
    unknown = "/_holdfast/second-factors/nobody.test"
    assert (await pds.request("DELETE", unknown, headers=pds.admin)).status == 404
