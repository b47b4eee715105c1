"""Signing up on the pages, for an app and for the account's own page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.pds.conftest import Account, Pds
from tests.pds.web.browser import Browser, Page
from tests.pds.web.oauth.app_client import App

_GOOD = {"handle": "carol", "email": "carol@example.com", "password": "carols-password"}


async def send(browser: Browser, page: Page, **values: Any) -> Page:
    return await browser.send(page.form("/sign-up"), **{**_GOOD, **values})


async def opened(pds: Pds) -> tuple[Browser, Page]:
    browser = Browser(pds)
    return browser, await browser.open("/account/sign-up")


async def test_who_signs_up_is_signed_in(pds: Pds) -> None:
    browser, page = await opened(pds)
    page = await send(browser, page)
    assert (page.status, page.reply.headers["Location"]) == (303, "/account")
    assert "@carol.test" in (await browser.open("/account")).text
    login = {"identifier": "carol.test", "password": _GOOD["password"]}
    assert (await pds.post("com.atproto.server.createSession", login)).status == 200
    # None but the one that was just made: nobody has the tokens of the first.
    assert pds.ctx.accounts.db.value("SELECT count(*) FROM refresh_token") == 1


async def test_an_app_that_asks_for_a_new_account_gets_it(pds: Pds) -> None:
    browser = Browser(pds)
    app = App(pds)
    page = await browser.open("/oauth/authorize", **await app.push(prompt="create"))
    page = await send(browser, page, handle="dora.test")
    assert "You are signed in as @dora.test." in page.text
    page = await browser.send(page.form("/consent"))
    assert "code" in page.answer


async def test_what_is_wrong_is_said_beside_what_was_typed(pds: Pds, alice: Account) -> None:
    browser, page = await opened(pds)
    cases: list[tuple[dict[str, str], str]] = [
        ({"handle": "a"}, "A handle has 3 to 18 letters"),
        ({"handle": "alice"}, "Somebody has this handle already."),
        ({"handle": "x.y"}, "A handle has"),
        ({"handle": "admin"}, "This name is reserved, or somebody has it."),
        ({"handle": "-x-"}, "neither begins nor ends with a hyphen"),
        ({"email": "nobody"}, "No mail can be sent to this address."),
        ({"email": "alice@example.com"}, "An account here has this address already."),
        ({"email": ""}, "No mail can be sent"),
        ({"password": "short"}, "A password has 8 to 256 characters."),
        ({"password": "x" * 257}, "A password has 8 to 256 characters."),
        ({"domain": ".evil.example", "handle": "alice"}, "Somebody has this handle"),
    ]
    for values, said in cases:
        page = await send(browser, page, **values)
        assert page.status == 400, values
        assert said in page.text, values
        kept = dict(page.form("/sign-up").fields)
        assert kept["handle"] == values.get("handle", _GOOD["handle"])
        assert kept["password"] == ""
        assert b'aria-invalid="true"' in page.reply.body
    assert pds.ctx.accounts.db.value("SELECT count(*) FROM account") == 1


class TestInvites:
    @pytest.fixture
    def pds_environ(self, pds_environ: dict[str, str]) -> dict[str, str]:
        return pds_environ | {"PDS_INVITE_REQUIRED": "true"}

    async def test_a_code_is_asked_for_and_used_up(self, pds: Pds) -> None:
        made = await pds.post("com.atproto.server.createInviteCode", {"useCount": 1}, pds.admin)
        browser, page = await opened(pds)
        assert "Invite code" in page.text
        assert "This invite code is wrong" in (await send(browser, page)).text
        assert "This invite code is wrong" in (await send(browser, page, invite="wrong")).text
        assert (await send(browser, page, invite=f" {made.json['code']} ")).status == 303
        again = await send(
            browser, page, invite=made.json["code"], handle="dora", email="dora@example.com"
        )
        assert "or used up" in again.text


class TestDomains:
    @pytest.fixture
    def pds_environ(self, pds_environ: dict[str, str]) -> dict[str, str]:
        return pds_environ | {"PDS_SERVICE_HANDLE_DOMAINS": ".test,.people.example.com"}

    async def test_one_of_several_is_chosen(self, pds: Pds) -> None:
        browser, page = await opened(pds)
        assert b'<option value=".people.example.com">' in page.reply.body
        await send(browser, page, domain=".people.example.com")
        assert "@carol.people.example.com" in (await browser.open("/account")).text


class TestWithRateLimits:
    @pytest.fixture
    def pds_environ(self, pds_environ: dict[str, str]) -> dict[str, str]:
        return pds_environ | {"PDS_RATE_LIMITS_ENABLED": "true"}

    async def test_pages_and_clients_are_counted_together(self, pds: Pds) -> None:
        for _ in range(99):
            await pds.post("com.atproto.server.createAccount", {"handle": "x.test", "email": ""})
        browser, page = await opened(pds)
        assert (await send(browser, page, handle="x")).status == 400
        refused = await send(browser, page)
        assert (refused.status, "try again" in refused.text) == (429, True)


class TestTerms:
    @pytest.fixture
    def pds_environ(self, pds_environ: dict[str, str]) -> dict[str, str]:
        return pds_environ | {"PDS_TERMS_OF_SERVICE_URL": "https://pds.example/terms"}

    async def test_nobody_signs_up_without_agreeing(self, pds: Pds) -> None:
        browser, page = await opened(pds)
        assert "Please agree" in (await send(browser, page)).text
        assert (await send(browser, page, agree="true")).status == 303


class TestCaptcha:
    @pytest.fixture
    def asked(self) -> list[dict[str, str]]:
        """What an hCaptcha is asked, which takes "solved" for a solution."""
        return []

    @pytest.fixture
    async def hcaptcha(self, asked: list[dict[str, str]]) -> AsyncIterator[str]:
        async def verify(request: web.Request) -> web.Response:
            form = {name: str(value) for name, value in (await request.post()).items()}
            asked.append(form)
            if form["response"] == "broken":
                return web.Response(status=500)
            return web.json_response({"success": form["response"] == "solved"})

        app = web.Application()
        app.add_routes([web.post("/siteverify", verify)])
        async with TestServer(app) as server:
            yield str(server.make_url("/siteverify"))

    @pytest.fixture
    def pds_environ(self, pds_environ: dict[str, str], hcaptcha: str) -> dict[str, str]:
        return pds_environ | {
            "PDS_HCAPTCHA_SITE_KEY": "site",
            "PDS_HCAPTCHA_SECRET_KEY": "secret",
            "PDS_HCAPTCHA_TOKEN_SALT": "salt",
            "PDS_HCAPTCHA_VERIFY_URL": hcaptcha,
        }

    async def test_it_has_to_be_solved(self, pds: Pds, asked: list[dict[str, str]]) -> None:
        browser, page = await opened(pds)
        assert "https://*.hcaptcha.com" in page.reply.headers["Content-Security-Policy"]
        assert "Please solve" in (await send(browser, page)).text
        assert asked == []
        field = "h-captcha-response"
        assert "Please solve" in (await send(browser, page, **{field: "guessed"})).text
        assert "cannot be checked" in (await send(browser, page, **{field: "broken"})).text
        assert (await send(browser, page, **{field: "solved"})).status == 303
        assert asked[0].items() >= {"secret": "secret", "sitekey": "site"}.items()

    async def test_other_pages_load_nothing_from_it(self, pds: Pds) -> None:
        page = await Browser(pds).open("/account/sign-in")
        assert "hcaptcha" not in page.reply.headers["Content-Security-Policy"]
