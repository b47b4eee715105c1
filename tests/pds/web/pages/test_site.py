"""The way from a request to a page, and what is kept out of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from actor_store.errors import RepoNotFound
from database.errors import DatabaseBusy
from pds.monitoring.logs.quick import PlainLog
from pds.rate_limits.limit import Limit, by_ip
from pds.rate_limits.limiter import RateLimiter
from pds.rate_limits.memory import MemoryStore
from pds.server.observer import add_observed
from pds.translations.languages import NAMES
from pds.web.pages.errors import PageError
from pds.web.pages.form import Form
from pds.web.pages.site import Site
from pds.web.pages.visit import Visit
from tests.pds.conftest import Pds
from tests.pds.web.browser import Browser, PageForm


@dataclass
class Served:
    """A server with a few pages only, under the name of a real one."""

    public_url: str
    url: str
    http: aiohttp.ClientSession


@pytest.fixture
async def served(pds: Pds) -> AsyncIterator[Served]:
    async with serve(pds, None) as served:
        yield served


@asynccontextmanager
async def serve(pds: Pds, limiter: RateLimiter | None) -> AsyncIterator[Served]:
    site = Site(pds.ctx, limiter, {"test": "tests.pds.web.pages"})

    async def show(visit: Visit) -> web.Response:
        return visit.page("test/page.html")

    async def do(visit: Visit, form: Form) -> web.Response:
        if form.has("fail"):
            raise PageError(409, "This is 100%% %(what)s.", "Do %(what)s.", what="<b>wrong</b>")
        if form.has("damaged"):
            raise RepoNotFound("did:plc:x")
        if form.has("busy"):
            raise DatabaseBusy(Path("account.sqlite"), "locked")
        return visit.redirect("/page", notice="Done: 100 % <i>" + form.text("said"))

    app = web.Application()
    add_observed(app, [site.get("/page", show), site.post("/page", do)], pds.ctx, PlainLog("pages"))
    async with TestServer(app) as server:
        yield Served(pds.public_url, str(server.make_url("")).rstrip("/"), pds.http)


async def opened(served: Served) -> tuple[Browser, PageForm]:
    """A browser with cookies, and the form of the page that it shows."""
    browser = Browser(served)
    page = await browser.open("/page")
    return browser, page.form("/page")


async def test_a_form_leads_to_a_page_that_says_once_what_was_done(served: Served) -> None:
    browser, form = await opened(served)
    reply = (await browser.send(form, said="&")).reply
    assert (reply.status, reply.headers["Location"]) == (303, "/page")
    assert "Done: 100 % &lt;i&gt;&amp;" in (await browser.open("/page")).reply.body.decode()
    assert "Done" not in (await browser.open("/page")).text


async def test_a_long_notice_still_fits_a_cookie(served: Served) -> None:
    browser, form = await opened(served)
    await browser.send(form, said="\U0001f600" * 5_000)
    assert len(browser.cookies["notice"]) < 4_000
    assert "\U0001f600" * 600 in (await browser.open("/page")).text


async def test_of_clients_that_ask_too_often_no_browser_is_stored(pds: Pds) -> None:
    limit = Limit("global", 2, 300, by_ip)
    addresses = pds.ctx.client_addresses
    limiter = RateLimiter(MemoryStore(), addresses, {}, all_requests=limit)
    async with serve(pds, limiter) as served:
        browser, form = await opened(served)
        await Browser(served).open("/page")
        browsers = pds.ctx.accounts.db.value("SELECT count(*) FROM device")
        stranger = Browser(served)
        for page in (await stranger.open("/page"), await browser.send(form)):
            assert (page.status, "try again in some minutes" in page.text) == (429, True)
        assert stranger.cookies == {}
        assert pds.ctx.accounts.db.value("SELECT count(*) FROM device") == browsers


async def test_nobody_else_can_leave_a_notice(served: Served) -> None:
    browser, form = await opened(served)
    await browser.send(form, said="one")
    notice = browser.cookies["notice"]
    other, _ = await opened(served)
    for forged in (notice, "x" + notice[1:], notice[:-4], "", "é.é"):
        other.cookies["notice"] = forged
        assert "Done" not in (await other.open("/page")).text


@pytest.mark.parametrize(
    ("field", "status", "said"),
    [
        ("fail", 409, "This is 100% &lt;b&gt;wrong&lt;/b&gt;."),
        ("busy", 500, "Please try again in a minute."),
        ("damaged", 500, "Please try again in a minute."),
    ],
)
async def test_what_goes_wrong_is_said_on_a_page(
    served: Served, field: str, status: int, said: str
) -> None:
    browser, form = await opened(served)
    reply = (await browser.send(form, **{field: "1"})).reply
    assert reply.status == status
    assert said in reply.body.decode()


@pytest.mark.parametrize("token", ["", "0" * 64, "é"])
async def test_a_form_without_the_token_of_the_browser_does_nothing(
    served: Served, token: str
) -> None:
    browser, form = await opened(served)
    page = await browser.send(form, csrf=token)
    assert page.status == 403
    assert "cookies" in page.text


@pytest.mark.parametrize(
    ("query", "cookie", "header", "language"),
    [
        ({}, None, "", "en"),
        ({}, None, "fr-CA, de;q=0.5", "fr"),
        ({}, "de", "fr", "de"),
        ({"lang": "ja"}, "de", "fr", "ja"),
        ({"lang": "<x>"}, "%00", "*", "en"),
    ],
)
async def test_a_page_is_in_the_language_that_was_asked_for(
    served: Served, query: dict[str, str], cookie: str | None, header: str, language: str
) -> None:
    browser = Browser(served, **{"Accept-Language": header})
    if cookie is not None:
        browser.cookies["lang"] = cookie
    page = await browser.open("/page", **query)
    assert f'<html lang="{language}" dir="ltr">' in page.reply.body.decode()
    if "lang" in query and language != "en":
        assert browser.cookies["lang"] == language


async def test_a_page_links_to_itself_in_every_language(served: Served) -> None:
    browser = Browser(served)
    page = await browser.open("/page", request="a&b", lang="fr")
    text = page.reply.body.decode()
    assert 'href="?request=a%26b&amp;lang=ja"' in text
    assert text.count("hreflang=") == len(NAMES)
    assert text.count('aria-current="true"') == 1
    _, form = await opened(served)
    assert "hreflang=" not in (await browser.send(form, fail="1")).reply.body.decode()
