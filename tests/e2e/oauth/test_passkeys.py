"""Second factors in Chromium: its virtual authenticator keeps passkeys as a telephone does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyotp
import pytest

from tests.browser import Browser
from tests.e2e.oauth.screens import DESKTOP, PHONE, Audit, heading, show_on
from tests.e2e.sdk import Person
from tests.processes import DevServer

_AXE = "node_modules/axe-core/axe.min.js"


@pytest.fixture
def phone(browser: Browser) -> Iterator[Browser]:
    """A browser that nobody has used, with an authenticator that asks for a finger."""
    browser.command("Network.clearBrowserCookies")
    add_authenticator(browser)
    yield browser
    browser.command("WebAuthn.disable")


def add_authenticator(browser: Browser) -> None:
    """Let the browser keep passkeys."""
    browser.command("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    browser.command("WebAuthn.addVirtualAuthenticator", options=options)


def sign_in(browser: Browser, server: DevServer, person: Person) -> None:
    """Give the password on the page of the account."""
    browser.open(f"{server.url}/account/sign-in?next=/account/factors")
    browser.type("#username", person.handle)
    browser.type("#password", person.password)
    browser.follow("Sign in")


def sign_out(browser: Browser) -> None:
    browser.command("Network.clearBrowserCookies")


def shown(browser: Browser) -> str:
    text: str = browser.evaluate("document.body.innerText")
    return text


def test_a_passkey_is_set_up_and_signs_in_alone_and_after_the_password(
    phone: Browser, server: DevServer, alice: Person
) -> None:
    show_on(phone, PHONE)
    sign_in(phone, server, alice)
    assert heading(phone) == "Second factors"
    phone.type("#name", "My phone")
    phone.follow("Add a passkey")
    assert heading(phone) == "Your recovery codes"
    phone.follow("I have kept them")
    assert "My phone" in shown(phone)

    sign_out(phone)
    sign_in(phone, server, alice)
    assert heading(phone) == "One more step"
    phone.follow("Use a passkey")
    assert heading(phone) == "Second factors"
    assert "Last used on" in shown(phone)

    sign_out(phone)
    phone.open(f"{server.url}/account/sign-in?next=/account/factors")
    phone.follow("Sign in with a passkey")
    assert heading(phone) == "Second factors"
    # The device has this account's passkey already.
    phone.click("Add a passkey")
    phone.wait_until("!document.querySelector('[data-passkey-problem]').hidden")
    assert "It may be here already" in shown(phone)
    assert phone.complaints() == []


@pytest.mark.parametrize(
    ("screen", "scheme"), [(PHONE, "dark"), (DESKTOP, "light")], ids=["phone", "desktop"]
)
def test_axe_finds_nothing_on_the_pages_of_second_factors(
    phone: Browser,
    server: DevServer,
    clients: Path,
    alice: Person,
    screen: dict[str, Any],
    scheme: str,
) -> None:
    show_on(phone, screen, scheme)
    audit = Audit(phone, clients / _AXE)
    sign_in(phone, server, alice)
    audit.look("Second factors")
    phone.follow("Set up an app")
    audit.look("Set up an authenticator app")
    assert phone.evaluate("document.querySelector('.code svg').clientWidth") > 100
    secret = re.sub(r"\s", "", phone.evaluate("document.querySelector('code').textContent"))
    phone.type("#code", "12345")
    phone.follow("Set up")
    audit.look("Set up an authenticator app", "status of 400")
    phone.type("#code", pyotp.TOTP(secret).now())
    phone.follow("Set up")
    audit.look("Your recovery codes")
    code = phone.evaluate("document.querySelector('code').textContent")
    sign_out(phone)
    sign_in(phone, server, alice)
    audit.look("One more step")
    phone.type("#code", "wrong")
    phone.follow("Continue")
    audit.look("One more step", "status of 400")
    phone.type("#code", code)
    phone.click("Do not ask again in this browser for 30 days")
    phone.follow("Continue")
    phone.type("#name", "Key")
    phone.follow("Add a passkey")
    audit.look("Second factors")
    assert "Trusted browsers" in shown(phone)
    assert audit.found == {}
