"""The pages for moving in and out in Chromium: on two screens, light and dark, for all people."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from pds.accounts.moves import Move
from repo.cid import Cid
from repo.syntax import Did
from tests.browser import Browser, find_browser
from tests.e2e.conftest import clients
from tests.e2e.oauth.screens import DESKTOP, PHONE, faults, show_on
from tests.pds.conftest import Account
from tests.pds.web.migrate.conftest import NEW_PASSWORD, TwoServers, settled

__all__ = ["clients"]

_AXE: Final = "node_modules/axe-core/axe.min.js"
_PICTURES: Final = os.environ.get("HOLDFAST_PICTURES")
"""A directory for pictures of the pages, for people who look at them."""


@pytest.fixture
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    if find_browser() is None:
        pytest.skip("no Chromium is installed")
    started = await asyncio.to_thread(Browser.start, tmp_path_factory.mktemp("browser"))
    yield started
    await asyncio.to_thread(started.close)


def look(browser: Browser, axe: Path, name: str) -> list[str]:
    """What is wrong with a page on a light and on a dark screen."""
    found = []
    for size, screen, scheme in (("phone", PHONE, "light"), ("desktop", DESKTOP, "dark")):
        show_on(browser, screen, scheme)
        # The console complains of every page with a status of an error.
        found += [one for one in faults(browser, axe) if "'source': 'network'" not in one]
        if _PICTURES is not None:
            data = browser.command("Page.captureScreenshot", captureBeyondViewport=True)["data"]
            file = Path(_PICTURES) / f"migrate-{name}-{size}-{scheme}.png"
            file.write_bytes(base64.b64decode(data))
    return found


async def test_all_people_can_use_the_pages_for_moving_in(
    two: TwoServers, mover: Account, browser: Browser, clients: Path
) -> None:
    axe = clients / _AXE
    cids = await two.publish(mover)
    await two.old.ctx.blob_store.delete(mover.did, [Cid.parse(cids[0])])
    found: list[str] = []

    def reach_copy() -> None:
        browser.open(f"{two.new.public_url}/migrate")
        found.extend(look(browser, axe, "start"))
        browser.follow("Move an account to this server")
        found.extend(look(browser, axe, "sign-in"))
        browser.type("#identifier", mover.did)
        browser.type("#password", "wrong")
        browser.follow("Sign in")
        found.extend(look(browser, axe, "wrong-password"))
        browser.type("#password", mover.password)
        browser.follow("Sign in")
        found.extend(look(browser, axe, "details"))
        browser.type("#password", NEW_PASSWORD)
        browser.follow("Copy the account here")
        found.extend(look(browser, axe, "copying"))

    def reach_code() -> None:
        browser.open(f"{two.new.public_url}/migrate/move")
        found.extend(look(browser, axe, "review"))
        browser.evaluate("document.querySelector('[name=accept]').click()")
        browser.follow("Send the mail with the code")
        found.extend(look(browser, axe, "last-question"))

    def move() -> None:
        browser.type("#code", two.code)
        browser.evaluate("document.querySelector('[name=sure]').click()")
        browser.follow("Move the account now")
        found.extend(look(browser, axe, "done"))

    await asyncio.to_thread(reach_copy)
    await settled(two.new)
    await asyncio.to_thread(reach_code)
    await asyncio.to_thread(move)
    assert two.new.ctx.accounts.get_account(mover.did).active
    assert found == []


async def test_all_people_can_use_the_pages_for_moving_out(
    two: TwoServers,
    mover: Account,
    browser: Browser,
    clients: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    axe = clients / _AXE
    cids = await two.publish(mover)
    await two.old.ctx.blob_store.delete(mover.did, [Cid.parse(cids[0])])
    found: list[str] = []

    def see(name: str) -> None:
        found.extend(look(browser, axe, f"out-{name}"))

    def fill(name: str, value: str) -> None:
        browser.evaluate(f"document.getElementById('{name}').value = ''")
        browser.type(f"#{name}", value)

    def reach_copy() -> None:
        browser.open(f"{two.old.public_url}/account/sign-in?next=/migrate/out")
        fill("username", mover.handle)
        fill("password", mover.password)
        browser.follow("Sign in")
        see("server")
        fill("server", "no server")
        browser.follow("Go on")
        see("no-server")
        fill("server", two.new.public_url)
        browser.follow("Go on")
        see("details")
        fill("handle", "no.such.example")
        fill("password", NEW_PASSWORD)
        browser.follow("Copy the account there")
        see("refused")
        fill("handle", "mover.new.test")
        fill("password", NEW_PASSWORD)
        browser.follow("Copy the account there")
        see("copying")

    def reach_code() -> None:
        browser.open(f"{two.old.public_url}/migrate/move")
        see("review")
        browser.evaluate("document.querySelector('[name=accept]').click()")
        browser.follow("Send the mail with the code")
        see("last-question")
        fill("code", "AAAAA-AAAAA")
        browser.evaluate("document.querySelector('[name=sure]').click()")
        browser.follow("Move the account now")
        see("wrong-code")
        with monkeypatch.context() as patch:
            patch.setattr(Move, "is_plc", property(lambda _: False))
            browser.open(f"{two.old.public_url}/migrate/move")
            see("document")

    def move() -> None:
        browser.open(f"{two.old.public_url}/migrate/move")
        fill("code", two.code)
        browser.evaluate("document.querySelector('[name=sure]').click()")
        browser.follow("Move the account now")
        see("done")

    def come_back() -> None:
        """The new server sends it back to this one, which has a copy."""
        browser.open(f"{two.new.public_url}/account/sign-in?next=/migrate/out")
        fill("username", mover.did)
        fill("password", NEW_PASSWORD)
        browser.follow("Sign in")
        fill("server", two.old.public_url)
        browser.follow("Go on")
        fill("password", "another password")
        browser.follow("Copy the account there")
        see("former")
        fill("password", mover.password)
        browser.follow("Copy the account there")
        see("former-factor")

    await asyncio.to_thread(reach_copy)
    await settled(two.old)
    await asyncio.to_thread(reach_code)
    await asyncio.to_thread(move)
    assert two.new.ctx.accounts.get_account(mover.did).active
    db = two.old.ctx.accounts.db
    db.run("UPDATE account SET emailConfirmedAt = '2026-01-01' WHERE did = ?", (mover.did,))
    await two.old.ctx.second_factors.turn_on_mail(Did(mover.did))
    await asyncio.to_thread(come_back)
    assert found == []
