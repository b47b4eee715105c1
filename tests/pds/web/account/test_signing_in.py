"""Who is shown on the pages of the account."""

from __future__ import annotations

import pytest

from tests.pds.conftest import Account, Pds
from tests.pds.web.browser import Browser, Page


async def sign_in(pds: Pds, account: Account, path: str = "/account") -> Browser:
    browser = Browser(pds)
    page = await browser.open(path)
    await enter(browser, await browser.open(page.reply.headers["Location"]), account)
    return browser


async def enter(browser: Browser, page: Page, account: Account) -> Page:
    form = page.form("/sign-in")
    return await browser.send(form, username=account.handle, password=account.password)


def location(page: Page) -> str:
    assert page.status == 303
    return page.reply.headers["Location"]


async def test_a_stranger_signs_in_first_and_gets_where_they_wanted(
    pds: Pds, alice: Account
) -> None:
    browser = Browser(pds)
    asked = location(await browser.open("/account"))
    assert asked == "/account/sign-in?next=%2Faccount"
    page = await enter(browser, await browser.open(asked), alice)
    assert location(page) == "/account"
    assert f"@{alice.handle}" in (await browser.open("/account")).text


@pytest.mark.parametrize(
    "wanted", ["https://evil.example", "//evil.example", "/accounting", "/account/../x", "/xrpc/x"]
)
async def test_a_link_cannot_send_people_elsewhere_after_signing_in(
    pds: Pds, alice: Account, wanted: str
) -> None:
    browser = Browser(pds)
    page = await browser.open("/account/sign-in", next=wanted)
    assert location(await enter(browser, page, alice)) == "/account"


async def test_one_of_two_accounts_is_chosen(pds: Pds, alice: Account, bob: Account) -> None:
    browser = await sign_in(pds, alice)
    page = await browser.open("/account/sign-in", other="1")
    await enter(browser, page, bob)
    assert f"@{bob.handle}" in (await browser.open("/account")).text
    page = await browser.open("/account/sign-in")
    chosen = next(form for form in page.forms if ("did", alice.did) in form.fields)
    assert location(await browser.send(chosen)) == "/account"
    assert f"@{alice.handle}" in (await browser.open("/account")).text
    del browser.cookies["account"]
    assert "sign-in" in location(await browser.open("/account"))


async def test_a_cookie_cannot_choose_the_account_of_somebody_else(
    pds: Pds, alice: Account, bob: Account
) -> None:
    browser = await sign_in(pds, alice)
    browser.cookies["account"] = bob.did
    assert f"@{alice.handle}" in (await browser.open("/account")).text


async def test_who_signs_out_is_asked_for_the_password_again(pds: Pds, alice: Account) -> None:
    browser = await sign_in(pds, alice)
    page = await browser.open("/account")
    assert location(await browser.send(page.form("/sign-out"))) == "/account/sign-in"
    page = await browser.open("/account/sign-in")
    assert "You are signed out on this device." in page.text
    assert page.form("/sign-in")
    assert "sign-in" in location(await browser.open("/account"))


async def test_after_a_week_the_password_is_asked_for_again(pds: Pds, alice: Account) -> None:
    browser = await sign_in(pds, alice)
    pds.ctx.accounts.db.run("UPDATE account_device SET updatedAt = '2026-01-01T00:00:00.000Z'")
    asked = location(await browser.open("/account"))
    page = await browser.open(asked)
    assert dict(page.form("/sign-in").fields)["username"] == alice.handle


async def test_an_account_that_is_taken_down_is_shown_to_nobody(pds: Pds, alice: Account) -> None:
    browser = await sign_in(pds, alice)
    subject = {"$type": "com.atproto.admin.defs#repoRef", "did": alice.did}
    body = {"subject": subject, "takedown": {"applied": True, "ref": "1"}}
    assert (await pds.post("com.atproto.admin.updateSubjectStatus", body, pds.admin)).status == 200
    assert "sign-in" in location(await browser.open("/account"))


async def test_a_wrong_password_is_said_in_the_person_s_language(pds: Pds, alice: Account) -> None:
    browser = Browser(pds)
    page = await browser.open("/account/sign-in", lang="de")
    page = await browser.send(page.form("/sign-in"), username=alice.handle, password="wrong")
    assert "Das Passwort ist falsch, oder hier gibt es kein Konto dieses Namens." in page.text
