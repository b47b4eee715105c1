"""The mails of `pds dev` on their page: for people, for scripts, and for nobody else."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from pds.dev.mails import MAX_KEPT, show_mails
from pds.server.app import make_app
from tests.pds.conftest import Account, Pds, Reply

RESET = "com.atproto.server.requestPasswordReset"
HOSTILE = "<script>alert(1)</script><b>&"


@dataclass(slots=True)
class Page:
    """A server with the page."""

    pds: Pds
    client: TestClient[Any, Any]

    async def get(self, path: str = "", **headers: str) -> Reply:
        async with self.client.get(f"/dev/mails{path}", headers=headers) as response:
            is_json = response.content_type == "application/json"
            json = await response.json() if is_json else None
            return Reply(response.status, response.headers, await response.read(), json)

    async def reset(self, account: Account) -> str:
        """Ask for a new password; returns the token."""
        assert (await self.pds.post(RESET, {"email": account.email})).status == 200
        return str(self.pds.ctx.accounts.db.value("SELECT token FROM email_token"))


@pytest.fixture
async def page(pds: Pds) -> AsyncIterator[Page]:
    app = make_app(pds.ctx, more_routes=show_mails(pds.ctx))
    async with TestClient(TestServer(app)) as client:
        yield Page(pds, client)


async def test_a_mail_is_shown_with_its_token(page: Page, alice: Account) -> None:
    empty = await page.get()
    assert (empty.status, b"<article" in empty.body) == (200, False)
    token = await page.reset(alice)
    shown = (await page.get()).body.decode()
    assert token in shown
    assert "Password Reset Requested" in shown
    assert alice.email in shown
    (mail,) = (await page.get(".json")).json["mails"]
    assert set(mail) == {"number", "sent_at", "to", "subject", "text", "html"}
    assert token in mail["text"]
    assert (mail["number"], mail["to"]) == (1, alice.email)
    alone = await page.get("/1.html")
    assert alone.body.decode() == mail["html"]


async def test_the_newest_is_first_and_the_oldest_go(page: Page) -> None:
    mailer = page.pds.ctx.mailer
    for number in range(MAX_KEPT + 2):
        await mailer.send_from_moderation("a@b.co", subject=f"no {number}", html="x")
    mails = (await page.get(".json")).json["mails"]
    assert [mail["subject"] for mail in mails] == [
        f"no {number}" for number in range(MAX_KEPT + 1, 1, -1)
    ]
    assert (await page.get()).body.count(b"<article") == MAX_KEPT
    assert (await page.get("/1.html")).status == 404
    assert (await page.get("/52.html")).status == 200


async def test_what_a_mail_says_is_text_on_the_page_and_runs_nothing_alone(page: Page) -> None:
    await page.pds.ctx.mailer.send_from_moderation("a@b.co", subject=HOSTILE, html=HOSTILE)
    shown = (await page.get()).body.decode()
    assert not re.search(r"<script|<b>", shown)
    assert "&lt;script&gt;" in shown
    alone = await page.get("/1.html")
    assert alone.body.decode() == HOSTILE
    assert alone.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")


async def test_no_other_site_reads_it_and_nobody_keeps_it(page: Page) -> None:
    await page.pds.ctx.mailer.send_from_moderation("a@b.co", subject="x", html="x")
    for path in ("", ".json", "/1.html"):
        headers = (await page.get(path)).headers
        assert "Access-Control-Allow-Origin" not in headers
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in (await page.get()).headers["Content-Security-Policy"]


@pytest.mark.parametrize("path", ["", ".json", "/1.html"])
async def test_a_host_name_of_a_stranger_that_leads_here_is_refused(page: Page, path: str) -> None:
    """Or any web page could read the mails, once its own name leads to this machine."""
    await page.pds.ctx.mailer.send_from_moderation("a@b.co", subject="x", html="secret")
    for host in (
        "attacker.example",
        "attacker.example:2583",
        "localhost.attacker.example",
        "a.test",
    ):
        for more in ({}, {"X-Forwarded-Host": "localhost"}):
            refused = await page.get(path, Host=host, **more)
            assert (refused.status, b"secret" in refused.body) == (403, False)
            assert b"open it on localhost" in refused.body
            assert b"PDS_HOSTNAME" in refused.body


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:2583", "localhost.", "a.localhost", "127.0.0.1:1", "[::1]", "[::1]:1"],
)
async def test_names_of_this_machine_and_addresses_are_answered(page: Page, host: str) -> None:
    assert (await page.get(".json", Host=host)).status == 200


class TestWithAHostname:
    @pytest.fixture
    def pds_environ(self) -> dict[str, str]:
        return {"PDS_HOSTNAME": "dev.example.com"}

    async def test_the_server_s_own_name_is_answered(self, page: Page) -> None:
        assert (await page.get(".json", Host="dev.example.com")).status == 200
        assert (await page.get(".json", Host="example.com")).status == 403


async def test_it_fits_a_phone_and_has_no_scripts(page: Page) -> None:
    shown = (await page.get()).body.decode()
    assert 'name="viewport" content="width=device-width' in shown
    assert "<script" not in shown


@pytest.mark.parametrize("path", ["/dev/mails", "/dev/mails.json", "/dev/mails/1.html"])
async def test_a_server_that_was_not_asked_to_shows_no_mails(pds: Pds, path: str) -> None:
    assert (await pds.request("GET", path)).status == 404
    assert pds.ctx.mailer.on_mail is None
