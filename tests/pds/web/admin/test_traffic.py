"""What the server sends to others, and what it may be made to send."""

from __future__ import annotations

import pytest

from pds.mail.transport import MailNotSent
from tests.pds.conftest import Account, Pds
from tests.pds.relays import Relay
from tests.pds.web.admin.desk import Administrator


class Refusing:
    """A mail server that takes nothing."""

    async def send(self, _mail: object) -> None:
        raise MailNotSent("smtp.example.com: 550 <no> such user")


async def test_a_typed_host_is_asked_and_its_answer_is_kept(pds: Pds) -> None:
    admin = await Administrator.signed_in(pds)
    async with Relay() as relay:
        pds.ctx.crawlers._host = "pds.example.com"
        page = await admin.enter(await admin.open("/admin/crawlers"), "/crawlers", host=relay.url)
        assert f"{relay.url} was asked to crawl this server." in page.text
        assert relay.asked.get_nowait() == {"hostname": "pds.example.com"}
        relay.status, relay.answer = 400, {"error": "HostBanned", "message": "<b>no</b>"}
        page = await admin.enter(page, "/crawlers", host=relay.url)
        assert (page.status, "HostBanned: <b>no</b>" in page.text) == (400, True)
        assert b"<b>" not in page.reply.body
        url = relay.url
    page = await admin.open("/admin/crawlers")
    assert "did not accept" in page.text
    (entry, _) = pds.ctx.administration.actions.page(limit=9)
    assert (entry.action, entry.subject) == ("request-crawl", url)


@pytest.mark.parametrize(
    "host",
    ["", "no host", "x.example:99999", "ftp://x.example", "https://u:p@x.example", "[", "\x00"],
)
async def test_what_is_no_host_is_not_asked(pds: Pds, host: str) -> None:
    admin = await Administrator.signed_in(pds)
    page = await admin.enter(await admin.open("/admin/crawlers"), "/crawlers", host=host)
    assert page.status == 400
    assert pds.ctx.administration.crawls.hosts() == []


async def test_a_typed_host_of_a_private_network_is_not_asked(
    pds: Pds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has the administrator's browser for a moment does not reach the network behind."""
    admin = await Administrator.signed_in(pds)
    monkeypatch.setattr(pds.ctx.crawlers._http, "allow_private", False)
    async with Relay() as relay:
        pds.ctx.crawlers._host = "pds.example.com"
        page = await admin.enter(await admin.open("/admin/crawlers"), "/crawlers", host=relay.url)
        assert page.status == 400
        assert relay.asked.empty()


async def test_mails_that_fail_are_listed_with_the_reason(pds: Pds, alice: Account) -> None:
    admin = await Administrator.signed_in(pds)
    await pds.post("com.atproto.server.requestPasswordReset", {"email": alice.email})
    pds.ctx.mailer._accounts = Refusing()
    await pds.post("com.atproto.server.requestPasswordReset", {"email": alice.email})
    await pds.ctx.later.close()
    page = await admin.open("/admin/mails", state="failed")
    assert "550 <no> such user" in page.text
    assert "a…@example.com" in page.text
    assert alice.email not in page.text
    assert b"<no>" not in page.reply.body
    assert "Some mails were not sent because no mail server is set" in page.text


async def test_subscribers_are_listed_with_what_they_call_themselves(pds: Pds) -> None:
    admin = await Administrator.signed_in(pds)
    url = f"{pds.url}/xrpc/com.atproto.sync.subscribeRepos"
    headers = {"User-Agent": "relay <script>alert(1)</script>"}
    async with pds.http.ws_connect(url, headers=headers):
        page = await admin.open("/admin/firehose")
        assert "relay <script>alert(1)</script>" in page.text
        assert b"<script>" not in page.reply.body
        assert "up to date" in page.text or "reading older events" in page.text
    assert "127.0.0.1" in page.text
