"""The page of consent: who asks, their logo, and what has been agreed to before."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path

import pytest

from tests.pds.conftest import Account, Pds
from tests.pds.oauth.client_host import METADATA_PATH, ClientHost, serve_clients
from tests.pds.oauth.clients.metadata_samples import CLIENT_ID, metadata
from tests.pds.web.browser import Browser, Page
from tests.pds.web.oauth.app_client import App
from tests.pds.web.oauth.steps import authorize, sign_in

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
LOGO = "https://app.bsky.app/logo.png"
OUR_PAGE = {"Sec-Fetch-Dest": "image", "Sec-Fetch-Site": "same-origin"}
SCOPES = "atproto transition:generic transition:email"


@pytest.fixture
async def host(
    pds: Pds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[ClientHost]:
    """The host of the client, which the server of the test finds."""
    async with serve_clients(tmp_path, monkeypatch) as (host, http):
        assert pds.ctx.oauth is not None
        oauth = pds.ctx.oauth
        oauth.clients._metadata._http = oauth.logos._http = http
        host.publish(metadata(logo_uri=LOGO, scope=SCOPES))
        host.publish(PNG, "/logo.png", media_type="text/html")
        yield host


def app_on_the_web(pds: Pds, scope: str = "atproto transition:generic") -> App:
    return App(pds, scope, client_id=CLIENT_ID, redirect_uri="https://app.bsky.app/cb")


async def consent_page(app: App, browser: Browser, account: Account) -> Page:
    page = await browser.open("/oauth/authorize", **await app.push())
    return await sign_in(browser, page, account)


def logo_of(page: Page) -> str:
    """The address of the logo on a page."""
    found = re.search(rb'<img src="([^"]+)"', page.reply.body)
    return unescape(found[1].decode()) if found else ""


async def test_the_logo_comes_through_this_server(
    pds: Pds, alice: Account, host: ClientHost
) -> None:
    page = await consent_page(app_on_the_web(pds), Browser(pds), alice)
    assert LOGO.encode() not in page.reply.body
    assert "img-src 'self'" in page.reply.headers["Content-Security-Policy"]

    reply = await pds.request("GET", logo_of(page), headers=OUR_PAGE)

    assert (reply.status, reply.body) == (200, PNG)
    assert reply.headers["Content-Type"] == "image/png"
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in reply.headers["Content-Security-Policy"]
    assert {request.path for request in host.requests} == {METADATA_PATH, "/logo.png"}
    assert all("Cookie" not in request.headers for request in host.requests)


async def test_a_logo_is_for_pages_of_this_server(
    pds: Pds, alice: Account, host: ClientHost
) -> None:
    logo = logo_of(await consent_page(app_on_the_web(pds), Browser(pds), alice))
    for change in ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Dest": "document"}):
        assert (await pds.request("GET", logo, headers=OUR_PAGE | change)).status == 404
    forged = "/oauth/logo?client_id=https%3A%2F%2Fevil.example.com%2Fx&key=0"
    assert (await pds.request("GET", forged, headers=OUR_PAGE)).status == 404
    assert "/logo.png" not in {request.path for request in host.requests}


async def test_a_logo_that_cannot_be_had_is_left_out(
    pds: Pds, alice: Account, host: ClientHost
) -> None:
    host.publish(b"<svg onload='alert(1)'/>", "/logo.png", media_type="image/svg+xml")
    page = await consent_page(app_on_the_web(pds), Browser(pds), alice)
    reply = await pds.request("GET", logo_of(page), headers=OUR_PAGE)
    assert (reply.status, reply.body) == (404, b"")


async def test_the_page_says_what_is_certain_about_the_app(
    pds: Pds, alice: Account, host: ClientHost
) -> None:
    page = await consent_page(app_on_the_web(pds), Browser(pds), alice)
    assert "Only the address app.bsky.app is certain." in page.text
    page = await consent_page(App(pds), Browser(pds), alice)
    assert "Go on only if you have just started it yourself." in page.text
    assert logo_of(page) == ""


async def test_the_page_says_what_is_new_since_last_time(
    pds: Pds, alice: Account, host: ClientHost
) -> None:
    first = await consent_page(app_on_the_web(pds), Browser(pds), alice)
    assert "before" not in first.text
    await authorize(app_on_the_web(pds), Browser(pds), alice)
    again = await consent_page(app_on_the_web(pds), Browser(pds), alice)
    assert "You have allowed this app all of this before." in again.text
    more = await consent_page(app_on_the_web(pds, SCOPES), Browser(pds), alice)
    assert "Now it asks for more" in more.text
    assert more.reply.body.count(b'class="new"') == 1
    assert "Read your e-mail address New" in more.text


class TestWhoseOperatorVouches:
    @pytest.fixture
    def pds_environ(self) -> dict[str, str]:
        return {"PDS_OAUTH_TRUSTED_CLIENTS": CLIENT_ID}

    async def test_the_page_says_so(self, pds: Pds, alice: Account, host: ClientHost) -> None:
        page = await consent_page(app_on_the_web(pds), Browser(pds), alice)
        assert "Whoever runs this server vouches for this app." in page.text


async def test_an_app_that_asks_for_a_new_account_gets_no_known_one_without_consent(
    pds: Pds, alice: Account, host: ClientHost
) -> None:
    app, browser = app_on_the_web(pds), Browser(pds)
    assert "code" in (await authorize(app, browser, alice, remember="true")).answer
    params = await app.push(prompt="create")
    page = await browser.open("/oauth/authorize", **params, **{"sign-in": "1"})
    assert (await sign_in(browser, page, alice)).form("/consent")
