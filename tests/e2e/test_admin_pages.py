"""The administrator's pages of a real process in Chromium: on two screens, for all people."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.request import Request, urlopen

import pyotp
import pytest

from pds.config.env_file import read_env_file
from tests.browser import Browser
from tests.e2e.oauth.screens import DESKTOP, PHONE, faults, show_on
from tests.e2e.sdk import Network, Person
from tests.processes import DevServer

_AXE: Final = "node_modules/axe-core/axe.min.js"
_PICTURES: Final = os.environ.get("HOLDFAST_PICTURES")
"""A directory for pictures of the pages, for people who look at them."""
PAGES: Final = (
    *("", "?span=day", "/accounts", "/accounts?state=takendown", "/invites", "/blobs?look=1"),
    *("/firehose", "/crawlers", "/mails", "/health", "/log", "/security"),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    server = DevServer.start(tmp_path_factory.mktemp("server"))
    yield server
    assert server.stop() == 0, server.log()
    assert "Traceback" not in server.log()


def upload_picture(server: DevServer, person: Person) -> None:
    session = person.client.export_session_string()
    token = session.split(":::")[2]
    request = Request(  # noqa: S310  # the test's own server
        f"{server.url}/xrpc/com.atproto.repo.uploadBlob",
        b"\x89PNG\r\n\x1a\n" + b"x" * 5000,
        {"Authorization": f"Bearer {token}", "Content-Type": "image/png"},
    )
    urlopen(request).close()  # noqa: S310


def keep_picture(browser: Browser, name: str) -> None:
    if _PICTURES is None:
        return
    size = browser.evaluate("[innerWidth, document.documentElement.scrollHeight]")
    clip = {"x": 0, "y": 0, "width": size[0], "height": min(size[1], 4000), "scale": 1}
    data = browser.command(
        "Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip
    )["data"]
    file = Path(_PICTURES) / f"{name}.png"
    file.write_bytes(base64.b64decode(data))


def test_the_administrator_finds_everything_on_phones_and_desktops(
    server: DevServer, browser: Browser, clients: Path
) -> None:
    axe, network = clients / _AXE, Network(server)
    with network.clients:
        person = network.join()
        person.post("hello")
        upload_picture(server, person)
    password = read_env_file(server.env_file)["PDS_ADMIN_PASSWORD"]
    show_on(browser, PHONE)
    browser.open(f"{server.url}/admin")
    assert faults(browser, axe) == []
    keep_picture(browser, "sign-in")
    browser.type("#password", password)
    browser.follow("Sign in")
    account = f"/accounts/{person.did}"
    for number, path in enumerate((*PAGES, account, f"{account}/blobs")):
        for screen, scheme in ((PHONE, "dark"), (DESKTOP, "light")):
            # In turn, since each takes a while.
            if _PICTURES is None and (screen is PHONE) == bool(number % 2):
                continue
            show_on(browser, screen, scheme)
            browser.forget()
            browser.open(f"{server.url}/admin{path}")
            assert faults(browser, axe) == [], path
            name = path.strip("/").replace("/", "-").replace("?", "-") or "overview"
            keep_picture(browser, f"{name.replace(person.did, 'one')}-{scheme}")

    # The script loads the numbers again, until it is stopped.
    browser.open(f"{server.url}/admin")
    browser.click("Stop updating")
    browser.wait_until("document.querySelector('#live button').textContent.includes('ten')")
    browser.forget()
    browser.click("Update every ten seconds")
    browser.wait_for_answer("/admin/now")

    # `pds doctor` beside the server.
    browser.open(f"{server.url}/admin/health")
    browser.click("Ask other servers what they see of this one, too")
    browser.follow("Examine the server")
    for _ in range(100):
        if browser.evaluate("document.body.innerText.includes('Result')"):
            break
        browser.evaluate("new Promise(done => setTimeout(done, 200))")
        browser.open(f"{server.url}/admin/health")
    assert "0 wrong" in browser.evaluate("document.body.innerText")
    assert faults(browser, axe) == []
    keep_picture(browser, "examined")

    browser.open(f"{server.url}/admin/security")
    browser.follow("Set up an authenticator app")
    assert faults(browser, axe) == []
    keep_picture(browser, "set-up")
    secret = str(browser.evaluate("document.querySelector('li code').textContent"))
    browser.type("#code", pyotp.TOTP(secret.replace(" ", "")).now())
    browser.follow("Turn on the second factor")
    assert "ask for a code" in browser.evaluate("document.querySelector('.notice').textContent")
    browser.follow("Sign out")
    assert browser.evaluate("document.querySelector('#code') !== null")

    # Without scripts everything works as well.
    browser.command("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(f"{server.url}/admin")
    assert browser.evaluate("location.pathname") == "/admin/sign-in"
    browser.type("#password", password)
    browser.type("#code", pyotp.TOTP(secret.replace(" ", "")).at(time.time() + 30))
    browser.follow("Sign in")
    browser.follow("Accounts")
    browser.type("#q", person.handle[:5])
    browser.follow("Search")
    browser.follow(person.handle)
    browser.type("#reason", "spam")
    browser.follow("Take the account down")
    assert "is taken down" in browser.evaluate("document.querySelector('.notice').textContent")
