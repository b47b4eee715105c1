"""Signing up in Chromium past an hCaptcha, and with the second factor that the operator requires.

hCaptcha's own script is on the network, which no test reaches. In its place, at its address, is one
that does the same: it loads a frame, a style and an answer from hCaptcha's hosts, and puts a token
into the form when a person clicks.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import pyotp
import pytest

from tests.browser import Browser, find_browser
from tests.e2e.oauth.screens import PHONE, faults, heading, show_on
from tests.e2e.oauth.test_passkeys import add_authenticator
from tests.e2e.oauth.test_sign_up_pages import keep_picture
from tests.processes import DevServer
from tests.tls import certificate_of

_SCRIPT: Final = """
const box = document.querySelector(".h-captcha");
const style = document.createElement("link");
style.rel = "stylesheet";
style.href = "https://newassets.hcaptcha.com/style.css";
document.head.append(style);
const frame = document.createElement("iframe");
frame.title = "Widget containing checkbox for hCaptcha security challenge";
frame.style.border = "none";
frame.src = `https://newassets.hcaptcha.com/frame.html#${box.dataset.sitekey}`;
const answer = document.createElement("textarea");
answer.name = "h-captcha-response";
answer.hidden = true;
box.append(frame, answer);
addEventListener("message", async (event) => {
  if (event.origin !== "https://newassets.hcaptcha.com") return;
  const reply = await fetch("https://api.hcaptcha.com/token");
  answer.value = await reply.text();
});
"""
_FRAME: Final = """<!doctype html><title>Frame</title><body style="margin: 0">
<button style="width: 100%; height: 100vh" onclick="parent.postMessage('', '*')">I am human</button>
"""
_FILES: Final = {
    "https://js.hcaptcha.com/1/api.js": ("text/javascript", _SCRIPT),
    "https://newassets.hcaptcha.com/frame.html": ("text/html", _FRAME),
    "https://newassets.hcaptcha.com/style.css": ("text/css", ".h-captcha { min-height: 80px }"),
    "https://api.hcaptcha.com/token": ("text/plain", "solved"),
}


@dataclass
class HCaptcha:
    """What stands in for hCaptcha's hosts, and for the one that servers ask."""

    port: int = 0
    verify_url: str = ""
    loaded: set[str] = field(default_factory=set)
    """What browsers have got from its hosts."""
    asked: list[dict[str, str]] = field(default_factory=list)
    """What it was asked about tokens."""


@pytest.fixture(scope="module")
def hcaptcha(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HCaptcha]:
    found = HCaptcha()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = f"https://{self.headers['Host']}{self.path}"
            media_type, text = _FILES.get(url, ("", ""))
            if text:
                found.loaded.add(url)
            self._answer(media_type, text)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            found.asked.append(dict(parse_qsl(body)))
            is_good = found.asked[-1]["response"] == "solved"
            self._answer("application/json", f'{{"success": {"true" if is_good else "false"}}}')

        def _answer(self, media_type: str, text: str) -> None:
            self.send_response(200 if text else 404)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(text)))
            self.send_header("Access-Control-Allow-Origin", "*")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: Any) -> None:
            pass

    verifier, hosts = [ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in range(2)]
    names = sorted({urlsplit(url).hostname or "" for url in _FILES})
    certificate = certificate_of(names, tmp_path_factory.mktemp("hcaptcha"))
    hosts.socket = certificate.server.wrap_socket(hosts.socket, server_side=True)
    found.port = hosts.server_port
    found.verify_url = f"http://127.0.0.1:{verifier.server_port}/siteverify"
    threads = [threading.Thread(target=each.serve_forever) for each in (verifier, hosts)]
    for thread in threads:
        thread.start()
    yield found
    for each, thread in zip((verifier, hosts), threads, strict=True):
        each.shutdown()
        each.server_close()
        thread.join()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, hcaptcha: HCaptcha) -> Iterator[DevServer]:
    """A server with an hCaptcha where everybody needs a second factor."""
    env = {
        "PDS_HCAPTCHA_SITE_KEY": "site",
        "PDS_HCAPTCHA_SECRET_KEY": "secret",
        "PDS_HCAPTCHA_TOKEN_SALT": "salt",
        "PDS_HCAPTCHA_VERIFY_URL": hcaptcha.verify_url,
        "PDS_REQUIRE_SECOND_FACTOR": "true",
    }
    server = DevServer.start(tmp_path_factory.mktemp("server"), env=env)
    yield server
    assert server.stop() == 0, server.log()
    assert "Traceback" not in server.log()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory, hcaptcha: HCaptcha) -> Iterator[Browser]:
    """A Chromium that finds the stand-in at hCaptcha's hosts."""
    if find_browser() is None:
        pytest.skip("no Chromium is installed")
    hosts = ("*.hcaptcha.com", hcaptcha.port)
    started = Browser.start(tmp_path_factory.mktemp("browser"), stand_in=hosts)
    yield started
    started.close()


def sign_up(browser: Browser, server: DevServer, name: str) -> None:
    """Solve the captcha, and create an account."""
    browser.open(f"{server.url}/account/sign-up")
    browser.type("#handle", name)
    browser.type("#email", f"{name}@example.com")
    browser.type("#password", "a-good-password")
    solve(browser)
    browser.follow("Create the account")


def solve(browser: Browser) -> None:
    """Click the box in the frame."""
    browser.evaluate("document.querySelector('.h-captcha').scrollIntoView({block: 'center'})")
    x, y = browser.evaluate(
        "(() => { const box = document.querySelector('iframe').getBoundingClientRect();"
        "return [box.x + box.width / 2, box.y + box.height / 2]; })()"
    )
    for kind in ("mousePressed", "mouseReleased"):
        browser.command(
            "Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1
        )
    browser.wait_until("document.querySelector('textarea').value === 'solved'")


def test_a_captcha_is_loaded_solved_and_checked(
    browser: Browser, server: DevServer, hcaptcha: HCaptcha, clients: Path
) -> None:
    axe = clients / "node_modules/axe-core/axe.min.js"
    show_on(browser, PHONE)
    browser.open(f"{server.url}/account/sign-up")
    assert browser.complaints() == []
    # axe-core styles what it measures on a page with a frame.
    assert faults(browser, axe, "Applying inline style") == []
    keep_picture(browser, "captcha")
    browser.type("#handle", "carol")
    browser.type("#email", "carol@example.com")
    browser.type("#password", "carols-password")
    browser.follow("Create the account")
    assert "Please solve the captcha." in browser.evaluate("document.body.innerText")
    assert hcaptcha.asked == []
    browser.type("#password", "carols-password")
    solve(browser)
    browser.follow("Create the account")
    assert heading(browser) == "Set up a second factor"
    (asked,) = hcaptcha.asked
    expected = {"secret": "secret", "sitekey": "site", "response": "solved"}
    assert asked.items() > expected.items()
    assert hcaptcha.loaded == set(_FILES)
    # The page after it loads nothing from there any more.
    refused = "fetch('https://api.hcaptcha.com/token').then(() => false, () => true)"
    assert browser.evaluate(refused)


def test_the_second_factor_is_an_app_without_scripts(
    browser: Browser, server: DevServer, clients: Path
) -> None:
    axe = clients / "node_modules/axe-core/axe.min.js"
    show_on(browser, PHONE, "dark")
    sign_up(browser, server, "dora")
    assert faults(browser, axe) == []
    keep_picture(browser, "set-up")
    browser.command("Emulation.setScriptExecutionDisabled", value=True)
    browser.type("#code", "000000")
    browser.follow("Set up")
    text = browser.evaluate("document.body.innerText")
    assert "This code is wrong" in text
    assert "Passkeys need scripts" in text
    secret = re.sub(r"\s", "", browser.evaluate("document.querySelector('code').textContent"))
    browser.type("#code", pyotp.TOTP(secret).now())
    browser.follow("Set up")
    assert heading(browser) == "Your recovery codes"
    browser.command("Emulation.setScriptExecutionDisabled", value=False)
    assert faults(browser, axe) == []
    keep_picture(browser, "recovery-codes")
    browser.follow("I have kept them")
    assert browser.evaluate("location.pathname") == "/account"


def test_the_second_factor_is_a_passkey(browser: Browser, server: DevServer) -> None:
    add_authenticator(browser)
    sign_up(browser, server, "erin")
    browser.type("#name", "My phone")
    browser.follow("Add a passkey")
    assert heading(browser) == "Your recovery codes"
    browser.follow("I have kept them")
    assert browser.evaluate("location.pathname") == "/account"
