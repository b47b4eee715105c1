"""Moving accounts between the reference and Holdfast, both ways and back, on Holdfast's pages."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from tests.conformance.client import bearer
from tests.conformance.snapshot import Snapshot, take_snapshot
from tests.conformance.test_migration import Host, hosts
from tests.conformance.writer import write_account
from tests.pds.web.browser import Browser, Page
from tests.reference.server import Reference

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(300)]

NEW_PASSWORD = "mover-password"


@dataclass
class _Site:
    url: str
    http: aiohttp.ClientSession

    @property
    def public_url(self) -> str:
        return self.url


@pytest.mark.parametrize(
    "route", [("reference", "holdfast"), ("holdfast", "reference")], ids="-to-".join
)
async def test_an_account_moves_on_the_pages_with_everything_it_has_and_comes_back(
    route: tuple[str, str], reference: Reference, tmp_path: Path
) -> None:
    with hosts(route, reference, tmp_path) as (old, new):
        did, password = await asyncio.to_thread(
            write_account, old.client, "mover", domain=f".{old.domain}.test"
        )
        before = await _snapshot(old, did, password)
        here, there = (new, old) if route[1] == "holdfast" else (old, new)
        async with aiohttp.ClientSession() as http:
            browser = Browser(_Site(here.client.url, http))
            if here is new:
                await _begin_in(browser, did, password)
                await _create(browser)
            else:
                await _sign_in(browser, did, password)
                await _begin_out(browser, there, NEW_PASSWORD)
            await _finish(browser, old, did)
            after = await _snapshot(new, did, NEW_PASSWORD)
            await asyncio.to_thread(_write, new, did)
            # The old server has a copy, with the password of before.
            if here is new:
                await _begin_out(browser, there, password)
            else:
                await _begin_in(browser, did, NEW_PASSWORD)
            await _finish(browser, new, did)
            back = await _snapshot(old, did, password)
    assert before.records[did]
    assert after.records[did] == before.records[did]
    assert len(back.records[did]) == len(before.records[did]) + 1
    assert back.blobs[did] == after.blobs[did] == before.blobs[did]
    assert back.owned[did]["session"]["active"]
    preferences = [each.owned[did]["preferences"] for each in (before, after, back)]
    assert preferences[0] == preferences[1] == preferences[2]


async def _snapshot(host: Host, did: str, password: str) -> Snapshot:
    return await asyncio.to_thread(take_snapshot, host.client, host.directory, {did: password})


def _write(host: Host, did: str) -> None:
    login = {"identifier": did, "password": NEW_PASSWORD}
    session = host.client.call("com.atproto.server.createSession", login)
    record = {"$type": "com.example.note", "text": "written elsewhere"}
    body = {"repo": did, "collection": "com.example.note", "record": record}
    host.client.call("com.atproto.repo.createRecord", body, bearer(session["accessJwt"]))


async def _begin_in(browser: Browser, did: str, password: str) -> None:
    page = await browser.open("/migrate/in")
    page = await browser.send(page.form("/in"), identifier=did, password=password)
    assert page.status == 303, page.text


async def _create(browser: Browser) -> None:
    page = await browser.open("/migrate/in/details")
    page = await browser.send(page.form("/details"), password=NEW_PASSWORD)
    assert page.status == 303, page.text


async def _sign_in(browser: Browser, did: str, password: str) -> None:
    page = await browser.open("/account/sign-in")
    page = await browser.send(page.form("/sign-in"), username=did, password=password)
    assert page.status == 303, page.text


async def _begin_out(browser: Browser, new: Host, password: str) -> None:
    page = await browser.open("/migrate/move")
    if page.status == 200:
        await browser.send(page.form("/forget"))
    page = await browser.open("/migrate/out")
    page = await browser.send(page.form("/out"), server=new.client.url)
    page = await browser.send(page.form("/begin"), password=password)
    assert page.status == 303, page.text


async def _finish(browser: Browser, old: Host, did: str) -> None:
    """Take the steps after the beginning, from `old`."""
    page = await _copied(browser)
    assert "Everything is copied" in page.text
    page = await browser.send(page.form("/move/code"))
    assert page.status == 303, page.text
    page = await browser.open("/migrate/move")
    assert "rotation keys" not in page.text, "no key is taken for one of the person's"
    form = page.form("/move/identity")
    page = await browser.send(form, code=old.code_of(did), sure="true")
    assert page.status == 303, page.text
    page = await browser.open("/migrate/move")
    assert "Your account has moved" in page.text
    assert "deactivated" in str(old.client.call("com.atproto.sync.getRepoStatus", did=did))


async def _copied(browser: Browser) -> Page:
    """Look at the page again and again, as it does by itself."""
    async with asyncio.timeout(60):
        while True:
            page = await browser.open("/migrate/move")
            if "Refresh" not in page.reply.headers:
                return page
            await asyncio.sleep(0.1)
