"""Signing up, a new password and an app with a logo in Chromium: on two screens, for all people."""

from __future__ import annotations

import base64
import os
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import httpx
import orjson
import pytest

from tests.browser import Browser
from tests.e2e.oauth.conftest import APP_HOST
from tests.e2e.oauth.screens import DESKTOP, PHONE, faults, show_on
from tests.pds.oauth.clients.metadata_samples import metadata
from tests.pds.web.oauth.app_client import s256
from tests.processes import DevServer
from tests.tls import Certificate

_AXE: Final = "node_modules/axe-core/axe.min.js"
_PICTURES: Final = os.environ.get("HOLDFAST_PICTURES")
"""A directory for pictures of the pages, for people who look at them."""
_SCREENS: Final = ((PHONE, "dark"), (DESKTOP, "light"))
# A square of one colour.
_LOGO: Final = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.fixture
def app_origin(certificate: tuple[Certificate, Path]) -> Iterator[str]:
    """Where an app on the web has its metadata and its logo."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = _LOGO if self.path == "/logo.png" else orjson.dumps(client_metadata(origin))
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = certificate[0].server.wrap_socket(server.socket, server_side=True)
    origin = f"https://{APP_HOST}:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield origin
    server.shutdown()
    server.server_close()
    thread.join()


def client_metadata(origin: str) -> dict[str, Any]:
    return metadata(
        client_id=f"{origin}/client.json",
        client_name="A very good app",
        client_uri=origin,
        logo_uri=f"{origin}/logo.png",
        redirect_uris=[f"{origin}/cb"],
    )


def request_url(server: DevServer, origin: str, **more: str) -> str:
    parameters = {
        "client_id": f"{origin}/client.json",
        "redirect_uri": f"{origin}/cb",
        "response_type": "code",
        "scope": "atproto transition:generic",
        "code_challenge": s256(os.urandom(32).hex()),
        "code_challenge_method": "S256",
    }
    return f"{server.url}/oauth/authorize?" + urlencode(parameters | more)


def keep_picture(browser: Browser, name: str) -> None:
    if _PICTURES is None:
        return
    size = browser.evaluate("[innerWidth, document.documentElement.scrollHeight]")
    clip = {"x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1}
    data = browser.command(
        "Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip
    )["data"]
    (Path(_PICTURES) / f"{name}.png").write_bytes(base64.b64decode(data))


def test_who_has_no_account_signs_up_for_an_app_and_gets_a_new_password(
    server: DevServer, app_origin: str, browser: Browser, clients: Path
) -> None:
    axe, turns = clients / _AXE, iter(range(100))

    def look(title: str, name: str, *expected: str) -> None:
        found = browser.evaluate("document.querySelector('h1')?.textContent")
        assert found == title, browser.evaluate("document.body.innerText")
        # On one screen after the other, since each takes a while.
        chosen = _SCREENS if _PICTURES else (_SCREENS[next(turns) % 2],)
        for screen, scheme in chosen:
            show_on(browser, screen, scheme)
            assert faults(browser, axe, *expected) == []
            keep_picture(browser, f"{name}-{scheme}")

    browser.open(request_url(server, app_origin, prompt="create"))
    look("Create an account at localhost PDS", "sign-up")
    browser.type("#handle", "admin")
    browser.type("#email", "rita@example.com")
    browser.type("#password", "ritas-password")
    browser.follow("Create the account")
    look("Create an account at localhost PDS", "sign-up-wrong", "status of 400")
    browser.evaluate("document.querySelector('#handle').value = ''")
    browser.type("#handle", "rita")
    browser.type("#password", "ritas-password")
    browser.follow("Create the account")
    look("Allow A very good app to use your account?", "consent")
    drawn = "document.querySelector('.asker img').naturalWidth"
    browser.wait_until(f"{drawn} === 1")

    browser.forget()
    browser.open(f"{server.url}/account/reset-password")
    look("Forgotten password", "reset")
    browser.type("#email", "rita@example.com")
    browser.follow("Send the code")
    look("New password", "reset-new")
    browser.type("#code", code_of(server))
    browser.type("#password", "ritas-new-password")
    browser.follow("Set the password")
    look("Sign in to localhost PDS", "sign-in")
    browser.type("#username", "rita@example.com")
    browser.type("#password", "ritas-new-password")
    browser.follow("Sign in")
    assert browser.evaluate("location.pathname") == "/account"


def code_of(server: DevServer) -> str:
    """The code in the latest mail, which `pds dev` shows."""
    page = httpx.get(f"{server.url}/dev/mails").text
    found = re.search(r"\b[A-Z2-7]{5}-[A-Z2-7]{5}\b", page)
    assert found is not None
    return found[0]
