"""The page that asks for a second factor, on the way of an app's request."""

from __future__ import annotations

import html
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from pds.mail.message import Mail
from pds.second_factors.errors import SecondFactorError, SecondFactorRequired
from pds.web.sign_in.second_factor import PROBLEMS
from repo.syntax import Did
from tests.pds.api.test_second_factor import (
    code_in,
    set_up_app,
    turn_on_mail,
)
from tests.pds.conftest import Account, Pds
from tests.pds.second_factors.authenticator import Authenticator
from tests.pds.web.browser import Browser, Page, PageForm
from tests.pds.web.oauth.app_client import App
from tests.pds.web.oauth.steps import sign_in

STEP = "/oauth/authorize/second-factor"


async def begin(pds: Pds, browser: Browser | None = None) -> tuple[Browser, Page]:
    """Open the page that asks for the password."""
    browser = browser or Browser(pds)
    return browser, await browser.open("/oauth/authorize", **await App(pds).push(prompt="login"))


async def wait_for_factor(
    pds: Pds, account: Account, browser: Browser | None = None, **more: str
) -> tuple[Browser, Page]:
    """Give the right password."""
    browser, page = await begin(pds, browser)
    page = await sign_in(browser, page, account, **more)
    assert "One more step" in page.text
    return browser, page


def step(page: Page, name: str = "") -> PageForm:
    """The form of the page, sent with another of its buttons."""
    return replace(page.form("/second-factor"), action=STEP + name)


def options_of(page: Page) -> str:
    """What the page's script hands to the browser for a passkey."""
    found = re.search(r'data-options="([^"]+)"', page.reply.body.decode())
    assert found is not None
    return html.unescape(found[1])


def passkey_of(pds: Pds) -> Authenticator:
    return Authenticator(host="localhost", origin=pds.public_url)


async def set_up_passkey(pds: Pds, account: Account) -> Authenticator:
    factors, did = pds.ctx.second_factors, Did(account.did)
    passkey = passkey_of(pds)
    options = factors.passkeys.options_to_set_up(did, "dev", user_name="x", user_id=b"x")
    await factors.add_passkey(did, "dev", passkey.create(options), name="x")
    return passkey


async def test_a_code_finishes_the_sign_in_and_opens_no_second_one(
    pds: Pds, alice: Account
) -> None:
    totp, codes = await set_up_app(pds, alice)
    browser, page = await wait_for_factor(pds, alice)
    wrong = await browser.send(step(page), code="000000")
    assert (wrong.status, "This code is wrong" in wrong.text) == (400, True)
    done = await browser.send(step(wrong), code=totp.now())
    assert "code" in (await browser.send(done.form("/consent"))).answer
    browser, page = await wait_for_factor(pds, alice)
    assert (await browser.send(step(page), code=totp.now())).status == 400
    assert (await browser.send(step(page), code=codes[0])).form("/consent")


async def test_a_trusted_browser_is_not_asked_again_by_this_account(
    pds: Pds, alice: Account, bob: Account
) -> None:
    _, codes = await set_up_app(pds, alice)
    _, codes_of_bob = await set_up_app(pds, bob)
    browser, page = await wait_for_factor(pds, alice)
    assert (await browser.send(step(page), code=codes[0], trust="true")).form("/consent")
    _, page = await begin(pds, browser)
    assert (await sign_in(browser, page, alice)).form("/consent")
    _, page = await wait_for_factor(pds, bob, browser)
    assert (await browser.send(step(page), code=codes_of_bob[0])).form("/consent")
    await wait_for_factor(pds, alice)
    await pds.ctx.accounts.passwords.update(Did(alice.did), "another-password")
    await wait_for_factor(pds, replace(alice, password="another-password"), browser)


async def test_the_page_tells_nothing_of_the_factors(
    pds: Pds, alice: Account, bob: Account
) -> None:
    await turn_on_mail(pds, alice)
    await set_up_app(pds, bob)

    def seen(page: Page) -> str:
        text = re.sub(r"req-[0-9a-f]+", "", page.reply.body.decode())
        return re.sub(r'(name="(waiting|csrf)" value|data-options)="[^"]*"', "", text)

    (browser, of_alice), (browser_of_bob, of_bob) = [
        await wait_for_factor(pds, each) for each in (alice, bob)
    ]
    assert seen(of_alice) == seen(of_bob)
    for form in (step(of_alice, "/mail"), step(of_alice, "/passkey"), step(of_alice)):
        action = form.action.removeprefix(STEP)
        replies = (
            await browser.send(step(of_alice, action), code="1", answer="{}"),
            await browser_of_bob.send(step(of_bob, action), code="1", answer="{}"),
        )
        assert seen(replies[0]) == seen(replies[1])


async def test_a_code_is_mailed_at_once_and_again_only_after_a_while(
    pds: Pds, alice: Account
) -> None:
    sent: list[Mail] = []
    pds.ctx.mailer.on_mail = sent.append
    await turn_on_mail(pds, alice)
    browser, page = await wait_for_factor(pds, alice)
    page = await browser.send(step(page, "/mail"), trust="true")
    assert "If this account gets codes by mail" in page.text
    (mail,) = sent
    assert (await browser.send(step(page), code=code_in(mail))).form("/consent")
    assert browser.cookies["trust"].startswith("trust-")


async def test_a_passkey_finishes_the_sign_in(pds: Pds, alice: Account) -> None:
    passkey = await set_up_passkey(pds, alice)
    browser, page = await wait_for_factor(pds, alice)
    answer = passkey.get(options_of(page))
    done = await browser.send(step(page, "/passkey"), answer=answer)
    assert done.form("/consent")
    again = await browser.send(step(page, "/passkey"), answer=answer)
    assert (again.status, "not accepted" in again.text) == (400, True)


async def test_a_passkey_signs_in_without_the_password(pds: Pds, alice: Account) -> None:
    passkey = await set_up_passkey(pds, alice)
    browser, page = await begin(pds)
    form = replace(page.form("/sign-in"), action="/oauth/authorize/passkey")
    answer = passkey.get(options_of(page))
    elsewhere, other = await begin(pds)
    stolen = replace(other.form("/sign-in"), action=form.action)
    assert (await elsewhere.send(stolen, answer=answer)).status == 400
    done = await browser.send(form, answer=answer)
    assert "@alice.test" in done.text
    assert "code" in (await browser.send(done.form("/consent"))).answer


async def test_a_passkey_of_a_taken_down_account_opens_nothing(pds: Pds, alice: Account) -> None:
    passkey = await set_up_passkey(pds, alice)
    browser, page = await begin(pds)
    await takedown(pds, Did(alice.did))
    form = replace(page.form("/sign-in"), action="/oauth/authorize/passkey")
    refused = await browser.send(form, answer=passkey.get(options_of(page)))
    assert (refused.status, "taken down" in refused.text) == (400, True)


async def test_what_waits_is_for_one_browser_and_a_quarter_of_an_hour(
    pds: Pds, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, codes = await set_up_app(pds, alice)
    _, page = await wait_for_factor(pds, alice)
    waiting = dict(page.form("/second-factor").fields)["waiting"]
    thief, other = await wait_for_factor(pds, alice)
    for forged in (waiting, "", "x", waiting[:-1]):
        refused = await thief.send(step(other), waiting=forged, code=codes[0])
        assert (refused.status, "sign in again" in refused.text) == (400, True)
    waits = pds.ctx.second_factors.waiting
    clock = waits._clock
    monkeypatch.setattr(waits, "_clock", lambda: clock() + 15 * 60)
    assert "sign in again" in (await thief.send(step(other), code=codes[0])).text


async def new_password(pds: Pds, did: Did) -> None:
    await pds.ctx.accounts.passwords.update(did, "another-password")


async def takedown(pds: Pds, did: Did) -> None:
    pds.ctx.accounts.db.run("UPDATE actor SET takedownRef = 'x' WHERE did = ?", (did,))


async def deletion(pds: Pds, did: Did) -> None:
    await pds.ctx.accounts.delete_account(did)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (new_password, "This password is wrong."),
        (takedown, "taken down"),
        (deletion, "sign in again"),
    ],
)
async def test_what_befalls_the_account_meanwhile_ends_what_waits(
    pds: Pds, alice: Account, change: Callable[[Pds, Did], Awaitable[None]], said: str
) -> None:
    _, codes = await set_up_app(pds, alice)
    browser, page = await wait_for_factor(pds, alice)
    await change(pds, Did(alice.did))
    refused = await browser.send(step(page), code=codes[0])
    assert (refused.status, said in refused.text) == (400, True)


async def test_a_factor_that_was_removed_meanwhile_is_not_asked_for_again(
    pds: Pds, alice: Account
) -> None:
    _, codes = await set_up_app(pds, alice)
    browser, page = await wait_for_factor(pds, alice)
    await pds.ctx.second_factors.reset(Did(alice.did))
    assert (await browser.send(step(page), code=codes[0])).status == 400
    _, page = await begin(pds, browser)
    assert (await sign_in(browser, page, alice)).form("/consent")


async def test_where_it_is_required_the_page_leads_to_codes_by_mail(
    pds: Pds, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pds.ctx.second_factors, "required", True)
    sent: list[Mail] = []
    pds.ctx.mailer.on_mail = sent.append
    browser, page = await wait_for_factor(pds, alice)
    assert "This server asks for a second factor." in page.text
    (mail,) = sent
    assert (await browser.send(step(page), code=code_in(mail))).form("/consent")
    assert pds.ctx.second_factors.of(Did(alice.did)).mail_since is not None


def test_every_error_has_words_for_people() -> None:
    kinds = set(SecondFactorError.__subclasses__()) - {SecondFactorRequired}
    assert kinds <= PROBLEMS.keys()
