"""Signing up where the operator requires a second factor: it is set up before anything opens."""

from __future__ import annotations

import pyotp
import pytest

from pds.mail.message import Mail
from pds.oauth.devices import device_sessions
from repo.syntax import Did
from tests.pds.api.test_second_factor import log_in
from tests.pds.conftest import Account, Pds
from tests.pds.web.account.factors.test_pages import recovery_codes_on, secret_on
from tests.pds.web.browser import Browser, Page
from tests.pds.web.oauth.app_client import App
from tests.pds.web.sign_in.test_second_factor import options_of, passkey_of

CAROL = {"handle": "carol", "email": "carol@example.com", "password": "carols-password"}


@pytest.fixture
def pds_environ() -> dict[str, str]:
    return {"PDS_REQUIRE_SECOND_FACTOR": "true"}


async def signed_up(pds: Pds, path: str = "/account/sign-up", **query: str) -> tuple[Browser, Page]:
    """A browser with the page that follows the one for signing up."""
    browser = Browser(pds)
    page = await browser.open(path, **query)
    page = await browser.send(page.form("/sign-up"), **CAROL)
    assert (page.status, "Set up a second factor" in page.text) == (200, True)
    return browser, page


async def set_up_app(browser: Browser, page: Page) -> Page:
    code = pyotp.TOTP(secret_on(page)).now()
    return await browser.send(page.form("/set-up/app"), code=code)


def carol(pds: Pds) -> Account:
    account = pds.ctx.accounts.get_account("carol.test")
    return Account(account.did, "carol.test", CAROL["email"], CAROL["password"], "", "")


async def test_an_app_is_set_up_and_its_codes_are_shown_before_the_account(pds: Pds) -> None:
    sent: list[Mail] = []
    pds.ctx.mailer.on_mail = sent.append
    browser, page = await signed_up(pds)
    assert (await browser.open("/account")).status == 303
    wrong = await browser.send(page.form("/set-up/app"), code="000000")
    assert (wrong.status, "This code is wrong" in wrong.text) == (400, True)
    assert secret_on(wrong) == secret_on(page)
    page = await set_up_app(browser, wrong)
    codes = recovery_codes_on(page)
    assert len(codes) == 10
    assert (await browser.open("/account")).status == 303
    done = await browser.send(page.form("/set-up/done"))
    assert done.reply.headers["Location"] == "/account"
    page = await browser.open("/account")
    assert (page.status, "asks everybody for a second factor" in page.text) == (200, False)
    assert (await log_in(pds, carol(pds), authFactorToken=codes[0])).status == 200
    (mail,) = sent
    assert (mail.to, "authenticator app was set up" in mail.text) == (CAROL["email"], True)


async def test_a_passkey_is_set_up_on_the_way_to_an_app(pds: Pds) -> None:
    query = await App(pds).push(prompt="create")
    browser, page = await signed_up(pds, "/oauth/authorize", **query)
    answer = passkey_of(pds).create(options_of(page))
    wrong = await browser.send(page.form("/set-up/passkey"), answer="{}", name="x")
    assert (wrong.status, "not accepted" in wrong.text) == (400, True)
    page = await browser.send(wrong.form("/set-up/passkey"), answer=answer, name="x")
    assert len(recovery_codes_on(page)) == 10
    page = await browser.send(page.form("/set-up/done"))
    assert "code" in (await browser.send(page.form("/consent"))).answer


async def test_nobody_goes_on_without_a_factor(pds: Pds) -> None:
    browser, page = await signed_up(pds)
    form = page.form("/set-up/app")
    form.action = "/account/set-up/done"
    page = await browser.send(form)
    assert "Set up a second factor" in page.text
    assert (await browser.open("/account")).status == 303


async def test_a_form_that_is_sent_twice_shows_codes_that_work(pds: Pds) -> None:
    browser, page = await signed_up(pds)
    unseen = recovery_codes_on(await set_up_app(browser, page))
    again = await set_up_app(browser, page)
    codes = recovery_codes_on(again)
    assert (len(codes), set(codes) & set(unseen)) == (10, set())
    assert (await log_in(pds, carol(pds), authFactorToken=codes[0])).status == 200
    cookies = dict(browser.cookies)
    for _ in range(2):
        browser.cookies = dict(cookies)
        done = await browser.send(again.form("/set-up/done"))
        assert done.reply.headers["Location"] == "/account"
    assert (await browser.open("/account")).status == 200


async def test_the_pages_left_behind_in_a_browser_sign_nobody_in_later(pds: Pds) -> None:
    browser, first = await signed_up(pds)
    codes = await set_up_app(browser, first)
    await browser.send(codes.form("/set-up/done"))
    page = await browser.open("/account/sign-in")
    await browser.send(page.form("/account/sign-out"))
    for form in (codes.form("/set-up/done"), first.form("/set-up/app")):
        page = await browser.send(form)
        assert (page.status, "sign in again" in page.text) == (400, True)
    assert (await browser.open("/account")).status == 303


async def test_a_form_of_the_step_is_for_one_browser_and_account(pds: Pds) -> None:
    _, page = await signed_up(pds)
    waiting = dict(page.form("/set-up/app").fields)["waiting"]
    thief = Browser(pds)
    page = await thief.open("/account/sign-up")
    values = {**CAROL, "handle": "mallory", "email": "mallory@example.com"}
    page = await thief.send(page.form("/sign-up"), **values)
    code = pyotp.TOTP(secret_on(page)).now()
    for forged in (waiting, "", "x"):
        refused = await thief.send(page.form("/set-up/app"), waiting=forged, code=code)
        assert (refused.status, "sign in again" in refused.text) == (400, True)
    assert not pds.ctx.second_factors.of(Did(carol(pds).did)).any


async def test_who_was_asked_for_a_factor_at_a_sign_in_cannot_set_one_up_instead(
    pds: Pds, alice: Account
) -> None:
    """A password that somebody has found out must not be enough for a factor."""
    browser = Browser(pds)
    page = await browser.open("/account/sign-in")
    page = await browser.send(page.form("/sign-in"), username=alice.handle, password=alice.password)
    form = page.form("/second-factor")
    form.action = "/account/set-up/app"
    secret, offer = pds.ctx.second_factors.apps.offer(Did(alice.did))
    page = await browser.send(form, offer=offer, code=pyotp.TOTP(secret).now())
    assert (page.status, "sign in again" in page.text) == (400, True)
    assert not pds.ctx.second_factors.of(Did(alice.did)).any


async def test_the_step_goes_on_when_the_session_id_changes_with_time(
    pds: Pds, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser, page = await signed_up(pds)
    monkeypatch.setattr(device_sessions, "ROTATION_S", -1.0)
    before = browser.cookies["ses-id"]
    page = await set_up_app(browser, page)
    assert browser.cookies["ses-id"] != before
    done = await browser.send(page.form("/set-up/done"))
    assert done.reply.headers["Location"] == "/account"


async def test_a_new_password_or_a_takedown_ends_the_step(pds: Pds) -> None:
    browser, page = await signed_up(pds)
    page = await set_up_app(browser, page)
    did = Did(carol(pds).did)
    await pds.ctx.accounts.passwords.update(did, "another-password")
    refused = await browser.send(page.form("/set-up/done"))
    assert (refused.status, "password is wrong" in refused.text) == (400, True)
    await pds.ctx.accounts.delete_account(did)
    refused = await browser.send(page.form("/set-up/done"))
    assert (refused.status, "sign in again" in refused.text) == (400, True)
