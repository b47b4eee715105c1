"""The whole way: an app pushes a request, a person signs in and agrees, the app gets tokens."""

from __future__ import annotations

import pytest

from repo.syntax import Did
from tests.pds.conftest import Account, Pds
from tests.pds.web.browser import Browser
from tests.pds.web.oauth.app_client import App
from tests.pds.web.oauth.steps import authorize, sign_in

TRUSTED = (
    "http://localhost?scope=atproto+transition%3Ageneric"
    "&redirect_uri=http%3A%2F%2F127.0.0.1%2Fcallback"
)


@pytest.fixture
def pds_environ() -> dict[str, str]:
    return {"PDS_OAUTH_TRUSTED_CLIENTS": TRUSTED}


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
    assert "The password is wrong, or there is no account" in page.text
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


async def test_a_remembered_account_needs_no_password_the_next_time(
    pds: Pds, alice: Account
) -> None:
    app, browser = App(pds), Browser(pds)
    await authorize(app, browser, alice, remember="true")
    page = await browser.open("/oauth/authorize", **await App(pds).push())
    assert "Choose an account" in page.text
    page = await browser.send(page.form("/choose"))
    assert "code" in (await browser.send(page.form("/consent"))).answer


async def test_an_account_that_is_not_remembered_is_asked_for_again(
    pds: Pds, alice: Account
) -> None:
    browser = Browser(pds)
    await authorize(App(pds), browser, alice)
    page = await browser.open("/oauth/authorize", **await App(pds).push())
    assert page.form("/sign-in").action


async def test_a_sign_in_of_a_week_ago_asks_for_the_password(pds: Pds, alice: Account) -> None:
    browser = Browser(pds)
    await authorize(App(pds), browser, alice, remember="true")
    pds.ctx.accounts.db.run("UPDATE account_device SET updatedAt = '2026-01-01T00:00:00.000Z'")
    page = await browser.open("/oauth/authorize", **await App(pds).push())
    page = await browser.send(page.form("/choose"))
    assert ("username", "alice.test") in page.form("/sign-in").fields


async def test_an_account_is_signed_out_on_the_page_of_accounts(pds: Pds, alice: Account) -> None:
    browser = Browser(pds)
    await authorize(App(pds), browser, alice, remember="true")
    page = await browser.open("/oauth/authorize", **await App(pds).push())
    page = await browser.send(page.form("/sign-out"))
    assert page.form("/sign-in").action
    assert pds.ctx.accounts.db.value("SELECT count(*) FROM account_device") == 0


async def test_the_hint_of_the_app_is_filled_in(pds: Pds, alice: Account) -> None:
    query = await App(pds).push(login_hint=alice.handle)
    page = await Browser(pds).open("/oauth/authorize", **query)
    assert ("username", alice.handle) in page.form("/sign-in").fields


async def test_what_the_person_unticks_is_not_granted(pds: Pds, alice: Account) -> None:
    app, browser = App(pds, "atproto transition:generic transition:email"), Browser(pds)
    page = await browser.open("/oauth/authorize", **await app.push())
    page = await sign_in(browser, page, alice)
    answer = await browser.send(page.form("/consent"), scope="transition:email")
    reply = await app.redeem(answer.answer["code"])
    assert reply.json["scope"] == "atproto transition:email"


async def test_nobody_is_granted_more_than_was_asked_for(pds: Pds, alice: Account) -> None:
    app, browser = App(pds, "atproto"), Browser(pds)
    page = await browser.open("/oauth/authorize", **await app.push())
    page = await sign_in(browser, page, alice)
    answer = await browser.send(page.form("/consent"), scope=["transition:generic", "repo:*"])
    assert (await app.redeem(answer.answer["code"])).json["scope"] == "atproto"


async def test_a_trusted_app_gets_in_silently_once_it_was_let_in(pds: Pds, alice: Account) -> None:
    """prompt=none: without a page, or an error that says which page is missing."""

    async def silently(**hint: str) -> dict[str, str]:
        query = await App(pds, client_id=TRUSTED).push(prompt="none", **hint)
        return (await browser.open("/oauth/authorize", **query)).answer

    browser, named = Browser(pds), {"login_hint": alice.did}
    assert (await silently(**named))["error"] == "login_required"
    await authorize(App(pds, client_id=TRUSTED), browser, alice, remember="true")
    # Consent to a client on the person's own device is never remembered.
    assert (await silently(**named))["error"] == "consent_required"
    assert pds.ctx.oauth is not None
    agreed = frozenset(App(pds).scope.split())
    await pds.ctx.oauth.consents.remember(Did(alice.did), TRUSTED, agreed)
    assert "code" in await silently(**named)
    assert "code" in await silently(login_hint=alice.handle)
    # Whose account the app means is not for the server to guess.
    assert (await silently())["error"] == "login_required"
    query = await App(pds, client_id=TRUSTED).push(**named)
    assert "code" in (await browser.open("/oauth/authorize", **query)).answer
    await pds.post("com.atproto.server.deactivateAccount", {}, alice.auth)
    assert (await silently(**named))["error"] == "login_required"


async def test_accounts_that_are_remembered_are_chosen_from(
    pds: Pds, alice: Account, bob: Account
) -> None:
    browser = Browser(pds)
    query = await App(pds, client_id=TRUSTED).push(prompt="select_account")
    answer = (await browser.open("/oauth/authorize", **query)).answer
    assert answer["error"] == "account_selection_required"
    for account in (alice, bob):
        query = await App(pds).push()
        page = await browser.open("/oauth/authorize", **{**query, "sign-in": "1"})
        await sign_in(browser, page, account, remember="true")
    page = await browser.open("/oauth/authorize", **await App(pds).push())
    assert "@alice.test" in page.text
    assert "@bob.test" in page.text


@pytest.mark.parametrize(
    ("asked", "links"),
    [
        ({"prompt": "create"}, ["I have an account", "Choose another account"]),
        ({"prompt": "login", "login_hint": "alice.test"}, ["Choose another account"]),
        ({"login_hint": "alice.test"}, ["Use another account"]),
    ],
    ids=str,
)
async def test_who_wants_another_account_is_led_to_all_of_them(
    pds: Pds, alice: Account, bob: Account, asked: dict[str, str], links: list[str]
) -> None:
    browser = Browser(pds)
    for account in (alice, bob):
        query = await App(pds).push()
        page = await browser.open("/oauth/authorize", **{**query, "sign-in": "1"})
        await sign_in(browser, page, account, remember="true")
    page = await browser.open("/oauth/authorize", **await App(pds).push(**asked))
    for link in links:
        page = await browser.open(page.links[link])
    assert "Choose an account" in page.text
    assert "@alice.test" in page.text
    assert "@bob.test" in page.text


async def test_who_is_not_remembered_can_still_use_another_account(
    pds: Pds, alice: Account
) -> None:
    browser = Browser(pds)
    page = await browser.open("/oauth/authorize", **await App(pds).push())
    page = await sign_in(browser, page, alice)
    page = await browser.open(page.links["Use another account"])
    assert page.form("/sign-in").fields


async def test_the_answer_comes_in_the_fragment_if_asked_for(pds: Pds, alice: Account) -> None:
    page = await authorize(App(pds), Browser(pds), alice, response_mode="fragment")
    location = page.reply.headers["Location"]
    assert location.startswith("http://127.0.0.1/callback#iss=")
    assert "code=cod-" in location


async def test_the_answer_comes_in_a_form_if_asked_for(pds: Pds, alice: Account) -> None:
    app = App(pds)
    page = await authorize(app, Browser(pds), alice, response_mode="form_post")
    [form] = page.forms
    assert form.action == app.redirect_uri
    values = dict(form.fields)
    assert (values["iss"], values["state"]) == (app.issuer, "state-1")
    assert (await app.redeem(values["code"])).status == 200


async def test_a_request_may_come_without_being_pushed(pds: Pds, alice: Account) -> None:
    app, browser = App(pds), Browser(pds)
    query = {"client_id": app.client_id, **app.parameters}
    page = await browser.open("/oauth/authorize", **query)
    page = await sign_in(browser, page, alice)
    answer = (await browser.send(page.form("/consent"))).answer
    assert (await app.redeem(answer["code"])).status == 200


async def test_app_passwords_do_not_sign_in(pds: Pds, alice: Account) -> None:
    reply = await pds.post("com.atproto.server.createAppPassword", {"name": "phone"}, alice.auth)
    browser = Browser(pds)
    page = await browser.open("/oauth/authorize", **await App(pds).push())
    form = page.form("/sign-in")
    page = await browser.send(form, username="alice.test", password=reply.json["password"])
    assert "This is an app password." in page.text


async def test_a_deactivated_account_opens_no_app(pds: Pds, alice: Account) -> None:
    await pds.post("com.atproto.server.deactivateAccount", {}, alice.auth)
    answer = (await authorize(App(pds), Browser(pds), alice)).answer
    assert answer["error"] == "access_denied"
    assert answer["error_description"] == "This account has been deactivated"


async def test_an_account_that_is_taken_down_cannot_sign_in(pds: Pds, alice: Account) -> None:
    subject = {"$type": "com.atproto.admin.defs#repoRef", "did": alice.did}
    await pds.post(
        "com.atproto.admin.updateSubjectStatus",
        {"subject": subject, "takedown": {"applied": True}},
        pds.admin,
    )
    browser = Browser(pds)
    page = await browser.open("/oauth/authorize", **await App(pds).push())
    page = await sign_in(browser, page, alice)
    assert "This account is taken down." in page.text
