"""What goes wrong on the way: a form sent twice, two tabs, the back button, too much time."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.pds.conftest import Account, Pds
from tests.pds.web.browser import Browser
from tests.pds.web.oauth.app_client import App
from tests.pds.web.oauth.steps import sign_in


def expire_requests(pds: Pds) -> None:
    """Let five minutes pass for every request."""
    pds.ctx.accounts.db.run(
        "UPDATE authorization_request SET expiresAt = '2020-01-01T00:00:00.000Z'"
    )


async def test_a_consent_that_is_sent_twice_gives_the_same_code(pds: Pds, alice: Account) -> None:
    app, browser = App(pds), Browser(pds)
    page = await browser.open("/oauth/authorize", **await app.push())
    page = await sign_in(browser, page, alice)

    first = await browser.send(page.form("/consent"))
    second = await browser.send(page.form("/consent"))

    assert first.answer == second.answer
    assert (await app.redeem(second.answer["code"])).status == 200


async def test_a_consent_that_comes_after_the_tokens_does_no_harm(pds: Pds, alice: Account) -> None:
    app, browser = App(pds), Browser(pds)
    page = await browser.open("/oauth/authorize", **await app.push())
    page = await sign_in(browser, page, alice)
    answer = (await browser.send(page.form("/consent"))).answer
    await app.redeem(answer["code"])

    again = await browser.send(page.form("/consent"))

    assert again.status == 400
    assert "start to sign in again" in again.text
    assert (await app.call("GET", "com.atproto.server.getSession")).status == 200


async def test_who_rejects_in_a_second_tab_is_believed(pds: Pds, alice: Account) -> None:
    app, browser = App(pds), Browser(pds)
    page = await browser.open("/oauth/authorize", **await app.push())
    page = await sign_in(browser, page, alice)
    answer = (await browser.send(page.form("/consent"))).answer

    second = await browser.send(page.form("/reject"))

    assert second.answer["error"] == "access_denied"
    assert (await app.redeem(answer["code"])).error == (400, "invalid_grant")


async def test_two_tabs_of_one_request_are_one_request(pds: Pds, alice: Account) -> None:
    app, browser = App(pds), Browser(pds)
    query = await app.push()
    one = await browser.open("/oauth/authorize", **query)
    other = await browser.open("/oauth/authorize", **query)
    one = await sign_in(browser, one, alice)
    other = await sign_in(browser, other, alice)

    answer = (await browser.send(other.form("/consent"))).answer

    assert (await browser.send(one.form("/consent"))).answer == answer


async def test_two_apps_in_two_tabs_do_not_get_in_each_others_way(pds: Pds, alice: Account) -> None:
    browser = Browser(pds)
    apps = App(pds), App(pds, scope="atproto")
    pages = [await browser.open("/oauth/authorize", **await app.push()) for app in apps]
    pages = [await sign_in(browser, page, alice) for page in pages]

    for app, page in zip(apps, pages, strict=True):
        answer = (await browser.send(page.form("/consent"))).answer
        assert (await app.redeem(answer["code"])).json["scope"] == app.scope


async def test_the_back_button_after_the_end_tells_the_app(pds: Pds, alice: Account) -> None:
    app, browser = App(pds), Browser(pds)
    query = await app.push()
    page = await browser.open("/oauth/authorize", **query)
    page = await sign_in(browser, page, alice)
    await browser.send(page.form("/consent"))

    back = await browser.open("/oauth/authorize", **query)

    assert back.answer["error"] == "access_denied"
    assert back.answer["error_description"] == "This request was already authorized"


async def test_a_request_that_nobody_opened_in_time_tells_the_app(pds: Pds) -> None:
    app = App(pds)
    query = await app.push()
    expire_requests(pds)
    answer = (await Browser(pds).open("/oauth/authorize", **query)).answer
    assert (answer["error"], answer["state"]) == ("access_denied", "state-1")
    assert answer["error_description"] == "This request has expired"


@pytest.mark.parametrize("step", ["/sign-in", "/consent"])
async def test_a_request_that_expires_at_a_step_tells_the_app(
    pds: Pds, alice: Account, step: str
) -> None:
    app, browser = App(pds), Browser(pds)
    page = await browser.open("/oauth/authorize", **await app.push())
    if step == "/consent":
        page = await sign_in(browser, page, alice)
    expire_requests(pds)

    answer = (await browser.send(page.form(step))).answer

    assert answer["error_description"] == "This request has expired"


async def test_a_code_that_waits_too_long_is_worth_nothing(pds: Pds, alice: Account) -> None:
    app, browser = App(pds), Browser(pds)
    page = await browser.open("/oauth/authorize", **await app.push())
    page = await sign_in(browser, page, alice)
    answer = (await browser.send(page.form("/consent"))).answer
    expire_requests(pds)

    reply = await app.redeem(answer["code"])

    assert reply.error == (400, "invalid_grant")
    assert reply.json["error_description"] == "This code has expired"


async def test_the_name_of_a_request_says_how_long_it_lasts(pds: Pds) -> None:
    app = App(pds)
    before = time.time()
    reply = await app.endpoint("par", app.parameters)
    assert 299 - (time.time() - before) <= reply.json["expires_in"] <= 300


async def test_a_sign_in_that_is_sent_four_times_at_once_signs_in(pds: Pds, alice: Account) -> None:
    app, browser = App(pds), Browser(pds)
    page = await browser.open("/oauth/authorize", **await app.push())
    pages = await asyncio.gather(
        *(sign_in(browser, page, alice, remember="true") for _ in range(4))
    )
    answers = [(await browser.send(each.form("/consent"))).answer for each in pages]
    assert answers == [answers[0]] * 4


@pytest.mark.parametrize("step", ["sign-in", "second-factor/mail", "consent"])
async def test_a_tab_that_is_opened_again_at_a_step_says_what_to_do(pds: Pds, step: str) -> None:
    page = await Browser(pds).open(f"/oauth/authorize/{step}")
    assert page.status == 400
    assert "Go back to the app, and start to sign in again." in page.text
