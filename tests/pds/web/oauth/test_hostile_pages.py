"""Pages of authorization, in the hands of people who mean ill."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from pds.accounts.errors import InvalidCredentials
from pds.accounts.hashing import Asker
from pds.oauth.devices.device_sessions import Visitor
from pds.web.pages.site import Site
from tests.pds.conftest import Account, Pds
from tests.pds.web.browser import NAVIGATION, Browser
from tests.pds.web.oauth.app_client import App
from tests.pds.web.oauth.steps import authorize, sign_in


async def test_no_other_page_may_frame_or_script_the_pages(pds: Pds) -> None:
    page = await Browser(pds).open("/oauth/authorize", **await App(pds).push())
    headers = page.reply.headers
    policy = headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in policy
    assert "default-src 'none'" in policy
    (scripts,) = (one for one in policy.split("; ") if one.startswith("script-src"))
    assert scripts == f"script-src {pds.public_url}/assets/passkeys.js"
    assert "unsafe" not in policy
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"


@pytest.mark.parametrize(
    "headers",
    [{"Sec-Fetch-Dest": "iframe"}, {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}],
)
async def test_scripts_and_frames_do_not_open_the_pages(pds: Pds, headers: dict[str, str]) -> None:
    query = await App(pds).push()
    reply = await pds.request(
        "GET", "/oauth/authorize", headers={**NAVIGATION, **headers}, params=query
    )
    assert reply.status == 400
    assert "Set-Cookie" not in reply.headers


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost:2583"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:2583"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example.com"},
        {"Origin": "https://evil.example.com"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "null"},
        {},
    ],
)
async def test_forms_of_other_sites_are_refused(
    pds: Pds, alice: Account, headers: dict[str, str]
) -> None:
    browser = Browser(pds)
    page = await browser.open("/oauth/authorize", **await App(pds).push())
    form = page.form("/sign-in")
    fields = form.filled(username=alice.handle, password=alice.password)
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    reply = await pds.request(
        "POST", form.action, headers={**headers, "Cookie": cookie}, data=dict(fields)
    )
    assert reply.status == 403
    assert b"consent" not in reply.body


async def test_a_form_needs_the_token_of_its_own_browser(pds: Pds, alice: Account) -> None:
    """Signing a victim in to the attacker's account takes a form that only our page has."""
    attacker, victim = Browser(pds), Browser(pds)
    page = await attacker.open("/oauth/authorize", **await App(pds).push())
    await victim.open("/oauth/authorize", **await App(pds).push())
    form = page.form("/sign-in")
    page = await victim.send(form, username=alice.handle, password=alice.password)
    assert page.status == 403
    assert "cookies" in page.text


async def test_a_browser_without_cookies_is_told_so(pds: Pds, alice: Account) -> None:
    browser = Browser(pds)
    page = await browser.open("/oauth/authorize", **await App(pds).push())
    browser.cookies.clear()
    page = await sign_in(browser, page, alice)
    assert page.status == 403
    assert "Allow cookies for this server" in page.text


async def test_a_request_that_a_second_browser_opens_ends(pds: Pds, alice: Account) -> None:
    first, second = Browser(pds), Browser(pds)
    query = await App(pds).push()
    page = await first.open("/oauth/authorize", **query)
    answer = (await second.open("/oauth/authorize", **query)).answer
    assert answer["error"] == "access_denied"
    page = await sign_in(first, page, alice)
    assert "Unknown request_uri" in page.text


async def test_the_session_id_from_before_a_sign_in_is_worth_nothing(
    pds: Pds, alice: Account
) -> None:
    browser = Browser(pds)
    page = await browser.open("/oauth/authorize", **await App(pds).push())
    before = dict(browser.cookies)
    await sign_in(browser, page, alice, remember="true")
    assert browser.cookies["dev-id"] == before["dev-id"]
    assert browser.cookies["ses-id"] != before["ses-id"]
    # The few seconds for requests that crossed are over.
    pds.ctx.accounts.db.run("UPDATE device SET lastSeenAt = '2026-01-01T00:00:00.000Z'")
    thief = Visitor(before["dev-id"], before["ses-id"], "127.0.0.1", None, before["browser"])
    assert Site(pds.ctx, None, {}).devices.find(thief) is None


class TestPlantedCookies:
    """A site beside the server's plants its own session there, and follows who signs in."""

    @pytest.fixture
    def pds_environ(self) -> dict[str, str]:
        return {"PDS_HOSTNAME": "pds.example.com", "PDS_SERVICE_HANDLE_DOMAINS": ".test"}

    async def test_who_planted_them_at_the_same_address_follows_no_sign_in(
        self, pds: Pds, alice: Account
    ) -> None:
        attacker, browser = Browser(pds), Browser(pds)
        await attacker.open("/account/sign-in")
        planted = {name: value for name, value in attacker.cookies.items() if "__Host-" not in name}
        assert planted.keys() == {"dev-id", "ses-id"}
        browser.cookies |= planted
        page = await browser.open("/account/sign-in")
        assert browser.cookies.items() > planted.items()
        page = await sign_in(browser, page, alice)
        assert browser.cookies["dev-id"] == planted["dev-id"]
        # At once, from the same address, with the same browser.
        page = await attacker.open("/account")
        assert page.reply.headers["Location"].startswith("/account/sign-in")
        assert attacker.cookies["ses-id"] != browser.cookies["ses-id"]

    async def test_a_sign_in_that_is_sent_twice_is_one(self, pds: Pds, alice: Account) -> None:
        browser, again = Browser(pds), Browser(pds)
        page = await browser.open("/account/sign-in")
        again.cookies = dict(browser.cookies)
        await sign_in(browser, page, alice)
        page = await sign_in(again, page, alice)
        assert page.reply.headers["Location"] == "/account"
        assert again.cookies == browser.cookies
        assert (await again.open("/account")).status == 200


async def test_a_ticket_is_for_its_own_request(pds: Pds, alice: Account) -> None:
    """Who was not remembered must not get an app in by an old page of another one."""
    browser, first, second = Browser(pds), App(pds), App(pds)
    page = await browser.open("/oauth/authorize", **await first.push())
    old = (await sign_in(browser, page, alice)).form("/consent")
    query = await second.push()
    page = await browser.open("/oauth/authorize", **query)
    csrf = dict(page.form("/sign-in").fields)["csrf"]
    page = await browser.send(old, **query, csrf=csrf)
    assert page.status == 400
    assert "Please sign in again." in page.text


async def test_a_new_password_ends_tickets_and_remembered_browsers(
    pds: Pds, alice: Account
) -> None:
    browser = Browser(pds)
    await authorize(App(pds), browser, alice, remember="true")
    page = await browser.open("/oauth/authorize", **await App(pds).push())
    ticket_page = await browser.send(page.form("/choose"))
    await pds.post(
        "com.atproto.admin.updateAccountPassword",
        {"did": alice.did, "password": "another-password"},
        pds.admin,
    )
    page = await browser.send(ticket_page.form("/consent"))
    assert page.status == 400
    assert "Please sign in again." in page.text


async def test_a_password_that_changes_while_it_is_checked_signs_nobody_in(
    pds: Pds, alice: Account
) -> None:
    assert pds.ctx.oauth is not None
    authorization = pds.ctx.oauth.authorization
    browser = Browser(pds)
    await browser.open("/oauth/authorize", **await App(pds).push())
    asker = Asker("192.0.2.1")
    login = await pds.ctx.accounts.logins.check(alice.handle, alice.password, asker=asker)
    await pds.post(
        "com.atproto.admin.updateAccountPassword",
        {"did": alice.did, "password": "another-password"},
        pds.admin,
    )
    with pytest.raises(InvalidCredentials):
        await authorization.remember(login, browser.cookies["dev-id"])
    assert pds.ctx.accounts.db.value("SELECT count(*) FROM account_device") == 0


async def test_a_new_password_ends_a_code_on_its_way(pds: Pds, alice: Account) -> None:
    app = App(pds)
    code = (await authorize(app, Browser(pds), alice)).answer["code"]
    await pds.post(
        "com.atproto.admin.updateAccountPassword",
        {"did": alice.did, "password": "another-password"},
        pds.admin,
    )
    assert (await app.redeem(code)).error == (400, "invalid_grant")


async def test_a_form_names_no_account_that_is_not_signed_in(
    pds: Pds, alice: Account, bob: Account
) -> None:
    browser = Browser(pds)
    page = await browser.open("/oauth/authorize", **await App(pds).push())
    page = await sign_in(browser, page, alice)
    page = await browser.send(page.form("/consent"), did=bob.did)
    assert "Please sign in again." in page.text
    page = await browser.open("/oauth/authorize", **await App(pds).push())
    form = page.form("/sign-in")
    form.action = "/oauth/authorize/choose"
    page = await browser.send(form, did=bob.did)
    assert page.form("/sign-in").action


async def test_a_code_that_comes_twice_ends_the_session_and_the_sign_in(
    pds: Pds, alice: Account
) -> None:
    app, browser = App(pds), Browser(pds)
    code = (await authorize(app, browser, alice, remember="true")).answer["code"]
    assert (await app.redeem(code)).status == 200
    assert (await app.redeem(code)).error == (400, "invalid_grant")
    assert (await app.refresh()).error == (400, "invalid_grant")
    assert pds.ctx.accounts.db.value("SELECT count(*) FROM account_device") == 0


async def test_a_stolen_code_is_worth_nothing_without_the_verifier(
    pds: Pds, alice: Account
) -> None:
    app, thief = App(pds), App(pds)
    code = (await authorize(app, Browser(pds), alice)).answer["code"]
    assert (await thief.redeem(code)).error == (400, "invalid_grant")


@pytest.mark.parametrize(
    "redirect_uri",
    ["https://evil.example.com/", "http://127.0.0.1.evil.example.com/", "javascript:alert(1)"],
)
async def test_nobody_is_sent_to_an_address_that_is_not_the_clients(
    pds: Pds, redirect_uri: str
) -> None:
    app = App(pds)
    query = {"client_id": app.client_id, **app.parameters, "redirect_uri": redirect_uri}
    page = await Browser(pds).open("/oauth/authorize", **query)
    assert page.status == 400
    assert "Location" not in page.reply.headers
    assert redirect_uri not in page.text or "Invalid" in page.text


async def test_what_others_write_is_text(pds: Pds) -> None:
    evil = '"><script>alert(1)</script>'
    page = await Browser(pds).open("/oauth/authorize", client_id=evil, request_uri=evil)
    assert page.status == 400
    assert b"<script" not in page.reply.body
    query = await App(pds).push(state=evil, response_mode="form_post")
    browser = Browser(pds)
    page = await browser.open("/oauth/authorize", **query)
    page = await browser.send(page.form("/sign-in"), username=evil, password="x")
    assert b"<script>" not in page.reply.body
    page = await browser.send(page.form("/reject"))
    assert b"<script>alert" not in page.reply.body
    assert dict(page.forms[0].fields)["state"] == evil


async def test_scopes_do_not_turn_the_text_of_the_page(pds: Pds, alice: Account) -> None:
    app, browser = App(pds, "atproto blob:image/%E2%80%AEx%0Ay%C2%A0only"), Browser(pds)
    page = await browser.open("/oauth/authorize", **await app.push())
    page = await sign_in(browser, page, alice)
    assert "Upload image/%E2%80%AEx%0Ay%C2%A0only" in page.text


async def test_a_request_for_very_many_scopes_can_be_agreed_to(pds: Pds, alice: Account) -> None:
    app = App(pds, " ".join(["atproto", *(f"blob:a/{n}" for n in range(1, 250))]))
    code = (await authorize(app, Browser(pds), alice)).answer["code"]
    assert (await app.redeem(code)).json["scope"] == app.scope


@pytest.mark.parametrize("times", [2, 200])
async def test_repeated_or_endless_parameters_are_refused(pds: Pds, times: int) -> None:
    app = App(pds)
    query = urlencode([("client_id", app.client_id)] * times)
    page = await Browser(pds).open(f"/oauth/authorize?{query}")
    assert page.status == 400


async def test_a_form_that_is_too_large_or_of_another_kind_is_refused(pds: Pds) -> None:
    headers = {"Sec-Fetch-Site": "same-origin", "Origin": pds.ctx.settings.public_url}
    path = "/oauth/authorize/sign-in"
    large = {"csrf": "x" * 200_000}
    assert (await pds.request("POST", path, headers=headers, data=large)).status == 413
    assert (await pds.request("POST", path, headers=headers, json={})).status == 415


async def test_wrong_passwords_do_not_lock_the_owner_out(pds: Pds, alice: Account) -> None:
    attacker = Browser(pds)
    page = await attacker.open("/oauth/authorize", **await App(pds).push())
    for _ in range(3):
        page = await attacker.send(page.form("/sign-in"), username=alice.handle, password="no")
        assert page.status == 400
    answer = (await authorize(App(pds), Browser(pds), alice)).answer
    assert "code" in answer


async def test_unknown_and_known_names_are_answered_alike(pds: Pds, alice: Account) -> None:
    browser = Browser(pds)
    page = await browser.open("/oauth/authorize", **await App(pds).push())
    texts = set()
    for name in (alice.handle, alice.email, "nobody.test", "nobody@example.com"):
        page = await browser.send(page.form("/sign-in"), username=name, password="wrong")
        texts.add((page.status, page.text))
    assert len(texts) == 1


class TestWithRateLimits:
    @pytest.fixture
    def pds_environ(self) -> dict[str, str]:
        return {"PDS_RATE_LIMITS_ENABLED": "true"}

    async def test_passwords_are_guessed_no_more_often_than_by_create_session(
        self, pds: Pds, alice: Account
    ) -> None:
        for _ in range(29):
            body = {"identifier": alice.handle, "password": ""}
            await pds.post("com.atproto.server.createSession", body)
        browser = Browser(pds)
        page = await browser.open("/oauth/authorize", **await App(pds).push())
        form = page.form("/sign-in")
        page = await browser.send(form, username=alice.handle, password="wrong")
        assert page.status == 400
        page = await browser.send(form, username=alice.handle.upper(), password="wrong")
        assert page.status == 429
        assert "try again in some minutes" in page.text
        assert page.reply.headers["RateLimit-Remaining"] == "0"
