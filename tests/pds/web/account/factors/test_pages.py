"""The pages on which people set up and remove second factors."""

from __future__ import annotations

import re
from dataclasses import replace

import pyotp
import pytest

from pds.mail.message import Mail
from pds.second_factors.second_factors import Factors
from repo.syntax import Did
from tests.pds.api.test_second_factor import confirm_address, log_in, set_up_app, turn_on_mail
from tests.pds.conftest import Account, Pds
from tests.pds.web.browser import Browser, Page
from tests.pds.web.sign_in.test_second_factor import options_of, passkey_of, set_up_passkey

PATH = "/account/factors"


async def signed_in(pds: Pds, account: Account) -> Browser:
    """A browser in which the person has just given the password."""
    browser = Browser(pds)
    form = (await browser.open("/account/sign-in")).form("/account/sign-in")
    page = await browser.send(form, username=account.handle, password=account.password)
    assert page.reply.headers["Location"] == "/account"
    return browser


async def follow(browser: Browser, page: Page) -> Page:
    """Go where the answer to a form sends the browser."""
    assert page.status == 303, page.text
    return await browser.open(page.reply.headers["Location"])


def factors_of(pds: Pds, account: Account) -> Factors:
    return pds.ctx.second_factors.of(Did(account.did))


def secret_on(page: Page) -> str:
    """The key that the page shows for people who cannot scan."""
    found = re.search(r"<code>([A-Z2-7 ]+)</code>", page.reply.body.decode())
    assert found is not None
    return found[1].replace(" ", "")


def recovery_codes_on(page: Page) -> list[str]:
    return re.findall(r"<code>([a-z2-7-]{19})</code>", page.reply.body.decode())


async def test_an_app_is_set_up_and_its_recovery_codes_are_shown_once(
    pds: Pds, alice: Account
) -> None:
    browser = await signed_in(pds, alice)
    page = await browser.open(f"{PATH}/app")
    secret = secret_on(page)
    assert page.reply.headers["Cache-Control"] == "no-store"
    assert page.reply.body.count(b"<svg") == 1

    wrong = await browser.send(page.form("/app"), code="000000")
    assert (wrong.status, secret_on(wrong)) == (400, secret)
    assert "This code is wrong" in wrong.text
    form = wrong.form("/app")
    shown = await browser.send(form, code=pyotp.TOTP(secret).now())
    assert len(recovery_codes_on(shown)) == 10
    again = await browser.send(form, code=pyotp.TOTP(secret).now())
    assert (again.status, recovery_codes_on(again)) == (400, [])
    page = await browser.open(PATH)
    assert recovery_codes_on(page) == []
    assert "You have 10 recovery codes" in page.text
    code = recovery_codes_on(shown)[0]
    assert (await log_in(pds, alice, authFactorToken=code)).status == 200


async def test_a_secret_on_offer_is_for_its_account(pds: Pds, alice: Account, bob: Account) -> None:
    secret, offer = pds.ctx.second_factors.apps.offer(Did(alice.did))
    browser = await signed_in(pds, bob)
    page = await browser.open(f"{PATH}/app")
    for text in (offer, "", "00", "x" * 5_000):
        code = pyotp.TOTP(secret).now()
        forged = await browser.send(page.form("/app"), offer=text, code=code)
        assert forged.reply.headers["Location"] == f"{PATH}/app"
    assert not factors_of(pds, bob).any


async def test_a_passkey_is_set_up_named_and_removed(pds: Pds, alice: Account) -> None:
    browser = await signed_in(pds, alice)
    page = await browser.open(PATH)
    answer = passkey_of(pds).create(options_of(page))
    shown = await browser.send(page.form("/passkeys"), answer=answer, name="<b>Key</b>\n2")
    assert len(recovery_codes_on(shown)) == 10
    again = await browser.send(page.form("/passkeys"), answer=answer, name="x")
    assert (again.status, "not accepted" in again.text) == (400, True)
    page = await browser.open(PATH)
    assert "&lt;b&gt;Key&lt;/b&gt; 2" in page.reply.body.decode()
    page = await follow(browser, await browser.send(page.form("/passkeys/remove")))
    assert "The passkey is removed." in page.text
    assert not factors_of(pds, alice).any


async def test_mailed_codes_need_a_confirmed_address(pds: Pds, alice: Account) -> None:
    browser = await signed_in(pds, alice)
    page = await browser.open(PATH)
    assert "Confirm your e-mail address" in page.text
    form = replace(page.form("/passkeys"), action=f"{PATH}/mail/on")
    refused = await browser.send(form)
    assert (refused.status, "Confirm your e-mail address" in refused.text) == (400, True)
    await confirm_address(pds, alice)
    page = await browser.open(PATH)
    shown = await browser.send(page.form("/mail/on"))
    assert "Codes by mail are turned on." in shown.text
    codes = recovery_codes_on(shown)
    # Whose mailbox is lost signs in with one of them.
    assert (await log_in(pds, alice, authFactorToken=codes[0])).status == 200
    page = await follow(browser, await browser.send(page.form("/mail/on")))
    assert "Codes by mail are turned on." in page.text
    page = await follow(browser, await browser.send(page.form("/mail/off")))
    assert (page.status, factors_of(pds, alice).any) == (200, False)


async def test_recovery_codes_are_replaced_and_lost_factors_removed(
    pds: Pds, alice: Account
) -> None:
    browser = await signed_in(pds, alice)
    _, before = await set_up_app(pds, alice)
    page = await browser.open(PATH)
    shown = await browser.send(page.form("/recovery"))
    after = recovery_codes_on(shown)
    assert not set(after) & set(before)
    page = await follow(browser, await browser.send(page.form("/app/remove")))
    assert "Your authenticator app is removed." in page.text
    assert (factors_of(pds, alice).any, factors_of(pds, alice).recovery_codes) == (False, 0)
    refused = replace(page.form("/passkeys"), action=f"{PATH}/recovery")
    assert recovery_codes_on(await browser.send(refused)) == []


async def test_trusted_browsers_are_listed_and_forgotten(pds: Pds, alice: Account) -> None:
    browser = await signed_in(pds, alice)
    await set_up_app(pds, alice)
    trusted, did = pds.ctx.second_factors.trusted, Did(alice.did)
    token = await trusted.trust(
        did, None, user_agent="<i>Fire</i>\nfox" * 50, ip_address="192.0.2.7"
    )
    page = await browser.open(PATH)
    assert "192.0.2.7" in page.text
    assert b"<i>" not in page.reply.body
    page = await follow(browser, await browser.send(page.form("/trusted/remove")))
    assert (trusted.is_trusted(did, token), "192.0.2.7" in page.text) == (False, False)


async def test_the_owner_is_told_of_every_change(pds: Pds, alice: Account) -> None:
    sent: list[Mail] = []
    pds.ctx.mailer.on_mail = sent.append
    browser = await signed_in(pds, alice)
    await set_up_app(pds, alice)
    page = await browser.open(PATH)
    await browser.send(page.form("/recovery"))
    answer = passkey_of(pds).create(options_of(page))
    await browser.send(page.form("/passkeys"), answer=answer, name="x")
    await browser.send(page.form("/app/remove"))
    assert {mail.to for mail in sent} == {alice.email}
    told = " ".join(mail.text for mail in sent)
    for text in ("New recovery codes were made", "A passkey was set up", "app was removed"):
        assert text in told
    assert "alice.test" in told


@pytest.mark.parametrize("name", ["app", "app/remove", "passkeys", "passkeys/remove", "recovery"])
async def test_nothing_is_changed_long_after_the_password_or_by_others(
    pds: Pds, alice: Account, name: str
) -> None:
    passkey = await set_up_passkey(pds, alice)
    before = factors_of(pds, alice)
    browser = await stale(pds, alice)
    form = (await browser.open(PATH)).form("/passkeys")
    fields = {"passkey": passkey.id.hex(), "answer": "{}", "code": "000000"}
    asked = await browser.send(replace(form, action=f"{PATH}/{name}"), **fields)
    assert asked.reply.headers["Location"].startswith("/account/sign-in?")
    stranger = Browser(pds)
    stolen = await stranger.send(replace(form, action=f"{PATH}/{name}"), **fields)
    assert stolen.status == 403
    assert factors_of(pds, alice) == before


async def stale(pds: Pds, account: Account) -> Browser:
    """A browser in which the password was given an hour ago."""
    browser = Browser(pds)
    await browser.open("/account/sign-in")
    db, device = pds.ctx.accounts.db, browser.cookies["dev-id"]
    at = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 hour')"
    db.run(f"INSERT INTO account_device VALUES (?, ?, {at}, {at})", (account.did, device))
    return browser


async def test_a_form_for_another_account_of_the_browser_changes_nothing(
    pds: Pds, alice: Account, bob: Account
) -> None:
    await turn_on_mail(pds, alice)
    await turn_on_mail(pds, bob)
    await pds.ctx.second_factors.turn_off_mail(Did(alice.did))
    browser = await signed_in(pds, alice)
    form = replace((await browser.open(PATH)).form("/mail/on"), action=f"{PATH}/mail/off")
    asked = await browser.send(form, account=bob.did)
    assert asked.reply.headers["Location"].startswith("/account/sign-in?")
    assert factors_of(pds, bob).mail_since is not None


async def test_signing_in_to_the_account_asks_for_the_factor(pds: Pds, alice: Account) -> None:
    totp, _ = await set_up_app(pds, alice)
    browser = Browser(pds)
    form = (await browser.open("/account/sign-in")).form("/account/sign-in")
    page = await browser.send(form, username=alice.handle, password=alice.password)
    assert "One more step" in page.text
    assert (await browser.open("/account")).status == 303
    done = await browser.send(page.form("/second-factor"), code=totp.now())
    assert done.reply.headers["Location"] == "/account"
    assert (await browser.open("/account")).status == 200
