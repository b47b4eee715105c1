"""The pages of an account, of a real process in Chromium: on two screens, for all people."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.browser import Browser
from tests.e2e.oauth.screens import DESKTOP, PHONE, faults, show_on
from tests.e2e.sdk import Network
from tests.e2e.test_admin_pages import keep_picture
from tests.processes import DevServer

_AXE: Final = "node_modules/axe-core/axe.min.js"
_PAGES: Final = (
    *("", "/handle", "/email", "/password", "/app-passwords", "/sessions", "/apps", "/data"),
    *("/invites", "/state"),
)


def text_of(browser: Browser, selector: str) -> str:
    return str(browser.evaluate(f"document.querySelector('{selector}').textContent"))


def test_a_person_finds_everything_on_phones_and_desktops(
    server: DevServer, browser: Browser, clients: Path
) -> None:
    axe, network = clients / _AXE, Network(server)
    with network.clients:
        person = network.join()
    browser.open(f"{server.url}/account")
    browser.type("#username", person.handle)
    browser.type("#password", person.password)
    browser.follow("Sign in")
    for number, path in enumerate(_PAGES):
        # In turn, since each takes a while.
        screen, scheme = ((PHONE, "dark"), (DESKTOP, "light"))[number % 2]
        show_on(browser, screen, scheme)
        browser.forget()
        browser.open(f"{server.url}/account{path}")
        assert faults(browser, axe) == [], path
        keep_picture(browser, f"account{path.replace('/', '-')}-{scheme}")

    show_on(browser, PHONE)
    browser.open(f"{server.url}/account/handle")
    browser.type("#own", "alice.invalid")
    browser.follow("Check the domain")
    assert faults(browser, axe) == []
    keep_picture(browser, "account-handle-checked")
    browser.type("#label", "admin")
    browser.follow("Use this name")
    assert "is reserved" in text_of(browser, "#problem")

    # Without scripts everything works as well.
    browser.command("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(f"{server.url}/account/app-passwords")
    browser.type("#name", "My app")
    browser.follow("Create")
    assert len(text_of(browser, ".notice code")) == 19
    browser.open(f"{server.url}/account/state")
    browser.follow("Deactivate the account")
    browser.follow("Reactivate the account")
    assert "active again" in text_of(browser, ".notice")
