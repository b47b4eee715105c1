"""Handing mails to a program in place of a mail server."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from pds.config.mail_address import parse_address
from pds.config.mail_url import Sendmail
from pds.mail.message import InvalidMail, Mail
from pds.mail.sendmail import SendmailTransport
from pds.mail.transport import MailNotSent

MAIL = Mail("alice@example.com", "Hello", "The text\n", "<p>The text</p>\n")


def transport(directory: Path, script: str, *, timeout_s: float = 15.0) -> SendmailTransport:
    """A transport to a program that is a shell script."""
    program = directory / "sendmail"
    program.write_text(f"#!/bin/sh\ncd {directory}\n{script}\n")
    program.chmod(0o700)
    return SendmailTransport(
        "PDS_EMAIL_SMTP_URL",
        Sendmail(str(program)),
        sender=parse_address("My PDS <noreply@pds.example.com>"),
        timeout_s=timeout_s,
    )


async def test_the_program_gets_addresses_message_and_no_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PDS_JWT_SECRET", "secret")
    await transport(tmp_path, 'echo "$@" > arguments; env > env; cat > message').send(MAIL)
    arguments = (tmp_path / "arguments").read_text().split()
    assert arguments == ["-i", "-f", "noreply@pds.example.com", "alice@example.com"]
    message = (tmp_path / "message").read_bytes()
    assert b"\nSubject: Hello\n" in message
    assert b"\r" not in message
    assert "secret" not in (tmp_path / "env").read_text()


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("cat > /dev/null; echo no such user >&2; exit 67", "status 67: no such user"),
        ("exit 1", "status 1"),
    ],
)
async def test_a_program_that_fails_is_told(tmp_path: Path, script: str, reason: str) -> None:
    with capture_logs() as logs, pytest.raises(MailNotSent):
        await transport(tmp_path, script).send(MAIL)
    (line,) = logs
    assert reason in line["reason"]
    assert (line["log_level"], line["setting"]) == ("error", "PDS_EMAIL_SMTP_URL")


async def test_a_program_that_hangs_is_ended(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(MailNotSent):
        await transport(tmp_path, "exec sleep 30", timeout_s=0.2).send(MAIL)
    assert time.monotonic() - started < 25


async def test_a_program_that_is_missing_is_told(tmp_path: Path) -> None:
    missing = SendmailTransport(
        "PDS_EMAIL_SMTP_URL", Sendmail("/nowhere/sendmail"), sender=parse_address("a@b.co")
    )
    with capture_logs() as logs, pytest.raises(MailNotSent):
        await missing.send(MAIL)
    assert "path=/usr/sbin/sendmail" in logs[0]["remedy"]


async def test_no_address_is_an_option(tmp_path: Path) -> None:
    with pytest.raises(InvalidMail):
        await transport(tmp_path, "touch started").send(Mail("-Xlog@b.co", "s", "t", "h"))
    assert not (tmp_path / "started").exists()
