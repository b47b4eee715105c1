"""The pages for everybody, of a real process in Chromium: on two screens, for all people."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Final

from tests.browser import Browser
from tests.e2e.oauth.screens import DESKTOP, PHONE, faults, show_on
from tests.e2e.sdk import Network
from tests.processes import DevServer

_AXE: Final = "node_modules/axe-core/axe.min.js"
_PICTURES: Final = os.environ.get("HOLDFAST_PICTURES")
"""A directory for pictures of the pages, for people who look at them."""


def test_pages_lead_from_a_handle_to_a_record(
    browser: Browser, server: DevServer, clients: Path
) -> None:
    network = Network(server)
    with network.clients:
        person = network.join()
        person.post("مرحبا, a \u202epost <b>")
    browser.open(f"{server.url}/@{person.handle}")
    steps = [server.url + "/", browser.evaluate("location.href")]
    for _ in range(2):
        browser.follow(browser.evaluate("document.querySelector('.cards a').textContent"))
        steps.append(browser.evaluate("location.href"))
    for name, screen in (("phone", PHONE), ("desktop", DESKTOP)):
        for scheme in ("light", "dark"):
            show_on(browser, screen, scheme)
            for number, address in enumerate(steps):
                browser.open(address)
                assert faults(browser, clients / _AXE) == [], address
                if _PICTURES:
                    take_picture(browser, Path(_PICTURES, f"{number}-{name}-{scheme}.png"))


def take_picture(browser: Browser, file: Path) -> None:
    answer = browser.command("Page.captureScreenshot", captureBeyondViewport=True)
    file.write_bytes(base64.b64decode(answer["data"]))
