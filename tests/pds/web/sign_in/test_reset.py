"""A forgotten password: the mail, the code, and what strangers learn."""

from __future__ import annotations

import re

import pytest

from pds.mail.message import Mail
from tests.pds.conftest import Account, Pds
from tests.pds.web.browser import Browser, Page

_START = "/account/reset-password"


@pytest.fixture
def mails(pds: Pds) -> list[Mail]:
    sent: list[Mail] = []
    pds.ctx.mailer.on_mail = sent.append
    return sent


async def ask(browser: Browser, email: str) -> Page:
    page = await browser.open(_START)
    return await browser.send(page.form(_START), email=email)


async def code_in(pds: Pds, mails: list[Mail]) -> str:
    await pds.ctx.later.close()
    found = re.search(r"[A-Z2-7]{5}-[A-Z2-7]{5}", mails[-1].html)
    assert found is not None
    return found[0]


async def test_a_mailed_code_sets_a_new_password(
    pds: Pds, alice: Account, mails: list[Mail]
) -> None:
    browser = Browser(pds)
    page = await ask(browser, f" {alice.email.upper()} ")
    page = await browser.open(page.reply.headers["Location"])
    code = await code_in(pds, mails)
    short = await browser.send(page.form("/new"), code=code, password="short")
    assert "A password has 8 to 256 characters." in short.text
    done = await browser.send(short.form("/new"), password="a-new-password")
    assert (done.status, done.reply.headers["Location"]) == (303, "/account/sign-in")
    page = await browser.open("/account/sign-in")
    assert "Your password has been changed." in page.text
    sign_in = page.form("/sign-in")
    assert (
        await browser.send(sign_in, username=alice.handle, password=alice.password)
    ).status == 400
    assert (
        await browser.send(sign_in, username=alice.handle, password="a-new-password")
    ).status == 303
    assert mails[-1].to == alice.email


async def test_a_code_works_once(pds: Pds, alice: Account, mails: list[Mail]) -> None:
    browser = Browser(pds)
    await ask(browser, alice.email)
    code = await code_in(pds, mails)
    page = await browser.open(f"{_START}/new", code=code)
    assert dict(page.form("/new").fields)["code"] == code
    assert (await browser.send(page.form("/new"), password="a-new-password")).status == 303
    again = await browser.send(page.form("/new"), password="another-password")
    assert (again.status, "This code is wrong or has been used." in again.text) == (400, True)


async def test_strangers_do_not_learn_who_has_an_account(
    pds: Pds, alice: Account, mails: list[Mail]
) -> None:
    pages = []
    for email in (alice.email, "nobody@example.com", "", "x" * 5_000):
        browser = Browser(pds)
        page = await ask(browser, email)
        pages.append((page.status, (await browser.open(page.reply.headers["Location"])).text))
    assert len(set(pages)) == 1
    await pds.ctx.later.close()
    assert [mail.to for mail in mails] == [alice.email]


async def test_an_address_without_an_account_gets_the_same_answer_under_load(
    pds: Pds, alice: Account, mails: list[Mail], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pds.ctx.later, "_max_tasks", 0)
    answers = {(await ask(Browser(pds), email)).status for email in (alice.email, "x@example.com")}
    assert (answers, mails) == ({303}, [])


async def test_password_managers_find_the_page(pds: Pds) -> None:
    reply = await pds.http.get(f"{pds.url}/.well-known/change-password", allow_redirects=False)
    assert reply.headers["Location"] == f"{pds.public_url}{_START}"
