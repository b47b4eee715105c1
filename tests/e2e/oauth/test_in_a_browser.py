"""The pages in Chromium, with and without scripts, and an official app that runs in it."""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.browser import Browser
from tests.e2e.oauth.conftest import sessions_of
from tests.e2e.oauth.installed import node
from tests.e2e.oauth.screens import DESKTOP, PHONE, Audit, heading, show_on
from tests.e2e.sdk import Person
from tests.pds.web.oauth.app_client import s256
from tests.processes import DevServer, free_port

_EXAMPLE = "node_modules/@atproto/oauth-client-browser-example/bin.js"
_AXE = "node_modules/axe-core/axe.min.js"
SCOPE = "atproto transition:generic account:email blob:*/* repo:* identity:*"


@pytest.fixture
def fresh(browser: Browser, app_url: str) -> Iterator[Browser]:
    """The browser as it was before anybody used it. Scripts may run in it."""
    browser.command("Network.clearBrowserCookies")
    browser.command("Storage.clearDataForOrigin", origin=app_url[:-1], storageTypes="all")
    yield browser
    allow_scripts(browser, True)


@pytest.fixture(scope="module")
def app_url(clients: Path) -> Iterator[str]:
    """Where the example app is."""
    port = str(free_port())
    with subprocess.Popen(  # noqa: S603 (a program of the test)
        [node(clients), str(clients / _EXAMPLE), port], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert b"Listening" in process.stdout.readline()
        yield f"http://127.0.0.1:{port}/"
        process.kill()


def allow_scripts(browser: Browser, allowed: bool) -> None:
    browser.command("Emulation.setScriptExecutionDisabled", value=not allowed)


def request_url(server: DevServer, redirect_uri: str, **more: str) -> str:
    """The page for a request that nobody has pushed."""
    client_id = "http://localhost?" + urlencode({"scope": SCOPE, "redirect_uri": redirect_uri})
    parameters = {
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "response_type": "code",
        "scope": SCOPE,
        "state": "state-1",
        "code_challenge": s256(secrets.token_urlsafe(48)),
        "code_challenge_method": "S256",
    }
    return f"{server.url}/oauth/authorize?" + urlencode(parameters | more)


def wait_for_text(browser: Browser, text: str) -> None:
    browser.wait_until(f"document.body.innerText.includes({json.dumps(text)})")


@pytest.mark.parametrize(
    ("screen", "scripts"), [(PHONE, False), (DESKTOP, True)], ids=["phone", "desktop"]
)
def test_the_official_example_signs_in_refreshes_and_signs_out(
    fresh: Browser,
    server: DevServer,
    app_url: str,
    alice: Person,
    screen: dict[str, Any],
    scripts: bool,
) -> None:
    profile = {"$type": "app.bsky.actor.profile", "displayName": "the profile of alice"}
    alice.client.com.atproto.repo.put_record(
        {"repo": alice.did, "collection": profile["$type"], "rkey": "self", "record": profile}
    )
    show_on(fresh, screen)
    query = {
        "env": "test",
        "plc_directory_url": f"http://localhost:{server.plc_port}",
        "handle_resolver": server.url,
        "scope": SCOPE,
    }
    fresh.open(app_url + "?" + urlencode(query))
    fresh.wait_until("document.querySelector('[name=identifier]')")
    fresh.type("[name=identifier]", alice.handle)
    fresh.wait_until("!document.querySelector('[type=submit]').disabled")
    fresh.follow("Login")
    allow_scripts(fresh, scripts)
    assert heading(fresh) == "Sign in to localhost PDS"
    fresh.type("#password", "wrong")
    fresh.follow("Sign in")
    fresh.type("#password", alice.password)
    fresh.click("Remember this account on this device")
    fresh.follow("Sign in")
    assert heading(fresh) == "Allow An app on this device to use your account?"
    allow_scripts(fresh, True)
    fresh.follow("Allow")
    assert fresh.evaluate("location.href").startswith(app_url)
    # It shows the session with the e-mail address, and a record.
    wait_for_text(fresh, alice.email)
    wait_for_text(fresh, "the profile of alice")
    assert sessions_of(server, alice) == 1
    expiry = "document.body.innerText.match(/expiresAt.*/)[0]"
    before = fresh.evaluate(expiry)
    fresh.evaluate("[...document.querySelectorAll('button')].at(-1).click()")
    fresh.wait_until(f"{expiry} !== {json.dumps(before)}")
    fresh.evaluate("document.querySelector('[aria-label=\"User menu\"]').click()")
    fresh.forget()
    fresh.click("Sign out")
    fresh.wait_for_answer("/oauth/revoke")
    assert sessions_of(server, alice) == 0


@pytest.mark.parametrize(
    ("screen", "scheme"),
    [(PHONE, "light"), (PHONE, "dark"), (DESKTOP, "light")],
    ids=["phone", "phone in the dark", "desktop"],
)
def test_axe_finds_nothing_on_any_page(
    fresh: Browser,
    server: DevServer,
    clients: Path,
    alice: Person,
    screen: dict[str, Any],
    scheme: str,
) -> None:
    show_on(fresh, screen, scheme)
    audit = Audit(fresh, clients / _AXE)
    uri = "http://127.0.0.1:1/callback"
    fresh.open(request_url(server, uri, login_hint=alice.handle))
    audit.look("Sign in to localhost PDS")
    fresh.type("#password", "wrong")
    fresh.follow("Sign in")
    audit.look("Sign in to localhost PDS", "status of 400")
    fresh.type("#password", alice.password)
    fresh.click("Remember this account on this device")
    fresh.follow("Sign in")
    audit.look("Allow An app on this device to use your account?")
    for brand in ("gold", "#767676", "#0000ff"):
        # A colour that the operator may choose.
        fresh.evaluate(f"document.documentElement.style.setProperty('--brand', '{brand}')")
        audit.look("Allow An app on this device to use your account?")
    fresh.open(request_url(server, uri))
    audit.look("Choose an account")
    fresh.open(f"{server.url}/oauth/authorize?client_id=http://localhost&request_uri=unknown")
    audit.look("This does not work", "status of 400")
    assert audit.found == {}


@pytest.mark.parametrize("scripts", [True, False])
def test_an_answer_in_a_form_reaches_the_app(
    fresh: Browser, server: DevServer, app_url: str, alice: Person, scripts: bool
) -> None:
    allow_scripts(fresh, scripts)
    hints = {"login_hint": alice.handle, "response_mode": "form_post"}
    fresh.open(request_url(server, app_url, **hints))
    fresh.type("#password", alice.password)
    fresh.follow("Sign in")
    fresh.follow("Allow")
    if not scripts:
        fresh.follow("Continue")
    assert fresh.evaluate("location.href") == app_url
    assert fresh.complaints() == []
