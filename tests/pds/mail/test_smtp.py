"""Sending by SMTP, to real servers on loopback, good and bad."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from pds.config.mail_address import parse_address
from pds.config.mail_url import SmtpServer, parse_mail_url
from pds.mail import smtp
from pds.mail.message import InvalidMail, Mail
from pds.mail.smtp import MAX_CONNECTIONS, SmtpTransport
from pds.mail.transport import MailNotSent
from tests.more_time import with_more_time
from tests.pds.mail.smtp_server import MailServer, mail_server, silent_server
from tests.tls import Certificate, certificate_of_localhost

SETTING = "PDS_EMAIL_SMTP_URL"
MAIL = Mail("alice@example.com", "Hello", "The text: ü\n", "<p>The text: ü</p>\n")


def transport(url: str, **options: Any) -> SmtpTransport:
    """A transport to the server of a URL."""
    route = parse_mail_url(url)
    assert isinstance(route, SmtpServer)
    sender = parse_address("My PDS <noreply@pds.example.com>")
    return SmtpTransport(SETTING, route, sender=sender, ehlo_name="pds.example.com", **options)


async def refusal(transport: SmtpTransport, mail: Mail = MAIL) -> dict[str, Any]:
    """The operator's log of a mail that is not sent."""
    with capture_logs() as logs, pytest.raises(MailNotSent):
        await transport.send(mail)
    (line,) = logs
    assert (line["log_level"], line["setting"]) == ("error", SETTING)
    assert line["remedy"]
    return dict(line)


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    async with mail_server() as server:
        yield server


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return certificate_of_localhost(tmp_path)


async def test_a_mail_arrives_in_both_forms_with_its_headers(server: MailServer) -> None:
    await transport(f"smtp://{server.address}").send(MAIL)
    (mail,) = server.mails
    assert (mail.sender, mail.recipients) == ("noreply@pds.example.com", ["alice@example.com"])
    assert mail.message["From"] == "My PDS <noreply@pds.example.com>"
    assert (mail.message["To"], mail.message["Subject"]) == ("alice@example.com", "Hello")
    assert mail.message["Message-ID"].endswith("@pds.example.com>")
    assert mail.message["Auto-Submitted"] == "auto-generated"
    assert mail.message["Date"].datetime.tzinfo is not None
    assert mail.message.get_content_type() == "multipart/alternative"
    assert (mail.body("plain"), mail.body("html")) == (MAIL.text, MAIL.html)
    assert server.greetings == ["pds.example.com"]


async def test_user_and_password_are_sent_decoded() -> None:
    async with mail_server(password="p@ss:wörd/") as server:
        await transport(f"smtp://me%40x:p%40ss%3Aw%C3%B6rd%2F@{server.address}").send(MAIL)
        assert server.logins == [("me@x", "p@ss:wörd/")]
        assert len(server.mails) == 1


async def test_a_wrong_password_is_told_to_the_operator_and_not_logged() -> None:
    async with mail_server(password="right") as server:
        line = await refusal(transport(f"smtp://me:mistaken@{server.address}"))
        assert line["reason"].startswith("535")
        assert "percent-encoded" in line["remedy"]
        assert "mistaken" not in str(line)
        assert line["server"] == server.address
        assert server.mails == []


async def test_a_server_that_asks_for_no_password_gets_none(server: MailServer) -> None:
    await transport(f"smtp://me:secret@{server.address}").send(MAIL)
    assert (len(server.mails), server.logins) == (1, [])


async def test_tls_starts_when_the_server_offers_it(certificate: Certificate) -> None:
    async with mail_server(tls=certificate.server, password="pw") as server:
        await transport(f"smtp://me:pw@{server.address}", tls_context=certificate.trust).send(MAIL)
        assert server.mails[0].was_encrypted
        assert server.logins == [("me", "pw")]


async def test_tls_from_the_start(certificate: Certificate) -> None:
    async with mail_server(tls=certificate.server, starts_tls=False) as server:
        await transport(f"smtps://{server.address}", tls_context=certificate.trust).send(MAIL)
        assert len(server.mails) == 1


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_a_certificate_that_nobody_vouches_for_is_refused(
    certificate: Certificate, scheme: str
) -> None:
    async with mail_server(tls=certificate.server, starts_tls=scheme == "smtp") as server:
        line = await refusal(transport(f"{scheme}://{server.address}"))
        assert "certificate" in line["reason"]
        assert "tls.rejectUnauthorized=false" in line["remedy"]
        assert server.mails == []


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_any_certificate_is_taken_when_the_url_says_so(
    certificate: Certificate, scheme: str
) -> None:
    async with mail_server(tls=certificate.server, starts_tls=scheme == "smtp") as server:
        url = f"{scheme}://{server.address}/?tls.rejectUnauthorized=false"
        await transport(url).send(MAIL)
        assert len(server.mails) == 1


async def test_tls_can_be_required_and_left_out(
    server: MailServer, certificate: Certificate
) -> None:
    await refusal(transport(f"smtp://{server.address}/?requireTLS=true"))
    assert server.mails == []
    async with mail_server(tls=certificate.server) as offering:
        await transport(f"smtp://{offering.address}/?ignoreTLS=true&name=me.test").send(MAIL)
        assert not offering.mails[0].was_encrypted
        assert offering.greetings == ["me.test"]


@pytest.mark.parametrize("command", ["RCPT", "DATA"])
async def test_a_refusal_is_told_with_the_words_of_the_server(
    server: MailServer, command: str
) -> None:
    server.answers[command] = "554 we do not like you"
    line = await refusal(transport(f"smtp://{server.address}"))
    assert line["reason"] == "554 we do not like you"
    assert server.mails == []
    server.answers.clear()
    await transport(f"smtp://{server.address}").send(MAIL)
    assert len(server.mails) == 1


async def test_tls_at_a_port_that_has_none_is_mended_by_the_remedy(server: MailServer) -> None:
    url = f"smtps://{server.address}"
    line = await refusal(transport(url))
    await transport(mended(url, line["remedy"])).send(MAIL)
    assert len(server.mails) == 1


async def test_a_port_that_has_tls_from_the_start_is_mended_by_the_remedy(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with mail_server(tls=certificate.server, starts_tls=False) as server:
        monkeypatch.setattr(smtp, "TLS_FIRST_PORT", server.port)
        url = f"smtp://{server.address}"
        line = await refusal(transport(url, timeout_s=0.2))
        await transport(mended(url, line["remedy"]), tls_context=certificate.trust).send(MAIL)
        assert len(server.mails) == 1


def mended(url: str, remedy: str) -> str:
    """The URL with what the remedy says to write."""
    change = re.search(r"write (\S+) in place of (\S+) in PDS_EMAIL_SMTP_URL", remedy)
    assert change, remedy
    assert url.startswith(change[2])
    return url.replace(change[2], change[1])


async def test_a_server_that_is_not_there_is_told() -> None:
    line = await refusal(transport("smtp://127.0.0.1:1"))
    assert line["server"] == "127.0.0.1:1"
    assert "pds doctor" in line["remedy"]


@pytest.mark.parametrize("greeting", [b"", b"220 mail.test ESMTP\r\n"])
async def test_a_server_that_hangs_is_left_in_time(greeting: bytes) -> None:
    async with silent_server(greeting=greeting) as port:
        started = time.monotonic()
        line = await refusal(transport(f"smtp://127.0.0.1:{port}", timeout_s=0.2))
        assert time.monotonic() - started < 20
        assert "pds doctor" in line["remedy"]


@pytest.mark.parametrize(
    "greeting", [b"", b"220 mail.test ESMTP\r\n", b"HTTP/1.1 400\r\n\r\n", b"220-\xff\r\n" * 99_999]
)
async def test_a_server_that_hangs_up_is_an_error_at_once(greeting: bytes) -> None:
    async with silent_server(greeting=greeting, hangs_up=True) as port:
        await refusal(transport(f"smtp://127.0.0.1:{port}"))


async def test_a_mail_is_sent_once_the_server_has_it_however_it_takes_leave(
    server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.stays_silent_at_the_end = True

    async def attempt(seconds: float) -> None:
        server.mails.clear()
        monkeypatch.setattr(smtp, "_QUIT_S", 1.2 * seconds)
        await transport(f"smtp://{server.address}", timeout_s=seconds).send(MAIL)
        assert len(server.mails) == 1

    await with_more_time(attempt)


async def test_many_mails_at_once_wait_for_a_connection(server: MailServer) -> None:
    sending = transport(f"smtp://{server.address}")
    await asyncio.gather(*(sending.send(MAIL) for _ in range(3 * MAX_CONNECTIONS)))
    assert len(server.mails) == 3 * MAX_CONNECTIONS


async def test_whoever_waits_for_a_connection_waits_no_longer_than_for_a_mail() -> None:
    async with silent_server() as port:
        sending = transport(f"smtp://127.0.0.1:{port}", timeout_s=0.2)
        started = time.monotonic()
        sent = (sending.send(MAIL) for _ in range(MAX_CONNECTIONS + 5))
        results = await asyncio.gather(*sent, return_exceptions=True)
        assert {type(result) for result in results} == {MailNotSent}
        assert time.monotonic() - started < 20


async def test_what_is_no_address_is_not_brought_to_the_server(server: MailServer) -> None:
    mail = Mail("alice@example.com, bob@example.com", "s", "t", "h")
    with pytest.raises(InvalidMail):
        await transport(f"smtp://{server.address}").send(mail)
    assert server.greetings == []


async def test_an_international_address_needs_a_server_that_knows_them(server: MailServer) -> None:
    line = await refusal(
        transport(f"smtp://{server.address}"), Mail("jürgen@example.com", "s", "t", "h")
    )
    assert "SMTPUTF8" in line["reason"]
    await transport(f"smtp://{server.address}").send(Mail("j@bücher.example", "s", "t", "h"))
    assert server.mails[0].recipients == ["j@xn--bcher-kva.example"]
