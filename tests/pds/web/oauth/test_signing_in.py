"""The whole way: an app pushes a request, a person signs in and agrees, the app gets tokens."""

from __future__ import annotations

from tests.pds.conftest import Account, Pds
from tests.pds.web.oauth.app_client import App
from tests.pds.web.oauth.browser import Browser, Page


async def sign_in(browser: Browser, page: Page, account: Account, **more: str) -> Page:
    """Fill in the page that asks for the password."""
    form = page.form("/sign-in")
    return await browser.send(form, username=account.handle, password=account.password, **more)


async def authorize(app: App, browser: Browser, account: Account, **parameters: str) -> Page:
    """Sign in and agree to all; the result is the redirect to the client."""
    page = await browser.open("/oauth/authorize", **await app.push(**parameters))
    page = await sign_in(browser, page, account)
    return await browser.send(page.form("/consent"))


async def test_a_person_signs_in_agrees_and_the_app_gets_tokens(pds: Pds, alice: Account) -> None:
    app, browser = App(pds), Browser(pds)
    page = await browser.open("/oauth/authorize", **await app.push())
    assert page.status == 200
    page = await sign_in(browser, page, alice)
    assert "@alice.test" in page.text
    page = await browser.send(page.form("/consent"))
    answer = page.answer
    assert (answer["iss"], answer["state"]) == (app.issuer, "state-1")
    reply = await app.redeem(answer["code"])
    assert reply.status == 200, reply.body
    assert reply.json["token_type"] == "DPoP"
    assert reply.json["sub"] == alice.did
    assert reply.json["scope"] == "atproto transition:generic"
    refreshed = await app.refresh()
    assert refreshed.status == 200, refreshed.body
    assert refreshed.json["access_token"] != reply.json["access_token"]
    assert (await app.endpoint("revoke", {"token": app.tokens["refresh_token"]})).json == {}
    assert (await app.refresh()).error == (400, "invalid_grant")


async def test_a_wrong_password_is_told_and_can_be_tried_again(pds: Pds, alice: Account) -> None:
    app, browser = App(pds), Browser(pds)
    page = await browser.open("/oauth/authorize", **await app.push())
    page = await browser.send(page.form("/sign-in"), username="alice.test", password="wrong")
    assert page.status == 400
    assert "Invalid identifier or password" in page.text
    page = await sign_in(browser, page, alice)
    assert page.form("/consent").fields


async def test_rejecting_tells_the_client_and_ends_the_request(pds: Pds, alice: Account) -> None:
    app, browser = App(pds), Browser(pds)
    query = await app.push()
    page = await browser.open("/oauth/authorize", **query)
    answer = (await browser.send(page.form("/reject"))).answer
    assert answer["error"] == "access_denied"
    assert "code" not in answer
    page = await browser.open("/oauth/authorize", **query)
    assert page.status == 400
    assert "Unknown request_uri" in page.text
