"""Mail servers that fail: what users are told, what operators are told, and trying again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TypeAlias

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from pds.mail.smtp import SmtpTransport
from tests.pds.api.mailbox import (
    ASKING,
    DELETION,
    RESET,
    UPDATE,
    Mailbox,
    get_session,
    settings_of,
)
from tests.pds.conftest import Account, Pds, start_pds
from tests.pds.mail.smtp_server import MailServer, silent_server

SEND = "com.atproto.admin.sendEmail"
FAILED = {
    "error": "UpstreamFailure",
    "message": "The mail could not be sent. Try again later.",
}

Start: TypeAlias = Callable[[dict[str, str]], Awaitable[Pds]]

each_request = pytest.mark.parametrize("nsid", ASKING)


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts a server with other settings."""
    async with AsyncExitStack() as stack:
        yield lambda environ: start_pds(stack, tmp_path, environ)


def told_of_mail(logs: list[EventDict]) -> list[EventDict]:
    """What the log has, but for the lines of requests."""
    return [line for line in logs if line["event"] != "request"]


@each_request
async def test_a_mail_that_is_refused_is_a_502_and_can_be_asked_for_again(
    mailbox: Mailbox, alice: Account, nsid: str
) -> None:
    if nsid == UPDATE:
        await mailbox.confirm(alice)
    mailbox.server.answers["RCPT"] = "550 no such mailbox"
    with capture_logs() as logs:
        reply = await mailbox.ask(nsid, alice)
    assert (reply.status, reply.json) == (502, FAILED)
    (line,) = told_of_mail(logs)
    assert (line["log_level"], line["reason"]) == ("error", "550 no such mailbox")
    assert line["remedy"]
    mailbox.server.answers.clear()
    assert await mailbox.token(nsid, alice)


async def test_a_moderator_learns_that_nothing_was_sent(smtp: MailServer, start: Start) -> None:
    pds = await start(settings_of(f"smtp://{smtp.address}", moderation=True))
    alice = await pds.create_account("alice")
    smtp.answers["DATA"] = "554 no"
    body = {"recipientDid": alice.did, "senderDid": alice.did, "content": "x"}
    with capture_logs() as logs:
        reply = await pds.post(SEND, body, pds.admin)
    assert (reply.status, reply.json) == (502, FAILED)
    assert told_of_mail(logs)[0]["setting"] == "PDS_MODERATION_EMAIL_SMTP_URL"


async def test_a_server_that_hangs_does_not_hold_the_request(
    start: Start,
) -> None:
    async with silent_server() as port:
        pds = await start(settings_of(f"smtp://127.0.0.1:{port}"))
        alice = await pds.create_account("alice")
        transport = pds.ctx.mailer._accounts
        assert isinstance(transport, SmtpTransport)
        transport._timeout_s = 0.2
        reply = await pds.post(RESET, {"email": alice.email})
        assert (reply.status, reply.json) == (502, FAILED)


async def test_a_server_that_drops_the_connection_is_a_502(
    start: Start,
) -> None:
    async with silent_server(greeting=b"220 mail.test ESMTP\r\n", hangs_up=True) as port:
        pds = await start(settings_of(f"smtp://me:secret@127.0.0.1:{port}"))
        alice = await pds.create_account("alice")
        with capture_logs() as logs:
            reply = await pds.post(DELETION, headers=alice.auth)
        assert (reply.status, reply.json) == (502, FAILED)
        assert "secret" not in str(logs)


async def test_a_failure_changes_nothing_of_the_account(
    mailbox: Mailbox, pds: Pds, alice: Account
) -> None:
    await mailbox.confirm(alice)
    before = await get_session(pds, alice)
    mailbox.server.answers["DATA"] = "451 later"
    for nsid in ASKING:
        assert (await mailbox.ask(nsid, alice)).status == 502
    assert await get_session(pds, alice) == before
    assert (await pds.get("com.atproto.sync.getRepo", did=alice.did)).status == 200


async def test_tokens_are_not_logged_where_mails_are_sent(mailbox: Mailbox, alice: Account) -> None:
    with capture_logs() as logs:
        token = await mailbox.token(RESET, alice)
        mailbox.server.answers["DATA"] = "451 later"
        await mailbox.ask(RESET, alice)
    stored = mailbox.pds.ctx.accounts.db.value("SELECT token FROM email_token")
    assert logs
    assert token not in str(logs)
    assert stored not in str(logs)


@pytest.mark.parametrize(("dev_mode", "level"), [("true", "info"), ("false", "debug")])
async def test_without_a_server_mails_are_in_the_log(
    start: Start, dev_mode: str, level: str
) -> None:
    pds = await start(
        {
            "PDS_DEV_MODE": dev_mode,
            "PDS_HOSTNAME": "pds.example.com",
            "PDS_SERVICE_HANDLE_DOMAINS": ".test",
            "PDS_DISABLE_SSRF_PROTECTION": "true",
        }
    )
    alice = await pds.create_account("alice")
    with capture_logs() as logs:
        assert (await pds.post(RESET, {"email": alice.email})).status == 200
    token = pds.ctx.accounts.db.value("SELECT token FROM email_token")
    told = [line for line in logs if token in str(line)]
    assert [(line["log_level"], line["to"]) for line in told] == [(level, alice.email)]
    assert [line["log_level"] for line in told_of_mail(logs) if line not in told] == (
        [] if dev_mode == "true" else ["warning"]
    )
