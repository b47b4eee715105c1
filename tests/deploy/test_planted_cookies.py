"""Over TLS, in a real Chromium: a host below the server's plants its session there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import Browser, find_browser
from tests.deploy.caddy import Caddy, call
from tests.pds.web.browser import NAVIGATION
from tests.processes import DevServer, free_port

HOSTNAME = "pds.test"
MALLORY = {"handle": f"mallory.{HOSTNAME}", "email": "m@example.com", "password": "correct-horse"}


@pytest.fixture
def caddy(tmp_path: Path) -> Iterator[Caddy]:
    """In front of a server."""
    ports = free_port(), free_port()
    environ = {"PDS_HOSTNAME": HOSTNAME, "PDS_SERVICE_HANDLE_DOMAINS": f".{HOSTNAME}"}
    with Caddy.start(tmp_path, hostname=HOSTNAME, upstream=f"127.0.0.1:{ports[0]}") as caddy:
        server = DevServer.start(tmp_path / "data", env=environ, ports=ports)
        yield caddy
        server.kill()


@pytest.fixture
def browser(tmp_path: Path, caddy: Caddy) -> Iterator[Browser]:
    if find_browser() is None:
        pytest.skip("no Chromium is installed")
    (tmp_path / "browser").mkdir()
    hosts = (f"*{HOSTNAME}", caddy.https_port)
    started = Browser.start(tmp_path / "browser", stand_in=hosts)
    yield started
    started.close()


async def sign_up(caddy: Caddy) -> None:
    """Give the attacker a handle, and by that a host below the server's."""
    async with caddy.client() as http:
        await call(http, caddy.url, "com.atproto.server.createAccount", **MALLORY)


async def look(caddy: Caddy, agent: str, cookies: dict[str, str]) -> tuple[str, dict[str, str]]:
    """Where the account's page leads somebody with these cookies, and which ones that gives."""
    headers = {**NAVIGATION, "User-Agent": agent}
    async with (
        caddy.client() as http,
        http.get(
            f"{caddy.url}/account", headers=headers, cookies=cookies, allow_redirects=False
        ) as response,
    ):
        given = {name: morsel.value for name, morsel in response.cookies.items()}
        return response.headers.get("Location", ""), given


def test_whoever_plants_a_session_does_not_follow_the_person_who_signs_in(
    caddy: Caddy, browser: Browser
) -> None:
    agent = browser.evaluate("navigator.userAgent")
    asyncio.run(sign_up(caddy))
    _, own = asyncio.run(look(caddy, agent, {}))

    browser.open(f"https://{MALLORY['handle']}/robots.txt")
    for name, value in own.items():
        planted = f"{name}={value}; domain={HOSTNAME}; path=/; secure"
        browser.evaluate(f"document.cookie = {planted!r}")
    assert "dev-id" in browser.evaluate("document.cookie")

    browser.open(f"https://{HOSTNAME}/account/sign-up")
    sent = browser.command("Network.getCookies")["cookies"]
    values = {one["name"]: one["value"] for one in sent}
    assert (values["dev-id"], values["ses-id"]) == (own["dev-id"], own["ses-id"])
    assert values["__Host-browser"] != own["__Host-browser"]

    browser.type("#handle", "victim")
    browser.type("#email", "victim@example.com")
    browser.type("#password", "a-good-password")
    browser.follow("Create the account")
    assert browser.evaluate("location.pathname") == "/account"
    location, _ = asyncio.run(look(caddy, agent, own))
    assert location.startswith("/account/sign-in")
