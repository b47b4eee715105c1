"""Messages: what a stranger writes ends up where it belongs, and nowhere else."""

from __future__ import annotations

from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pds.config.mail_address import InvalidMailAddress, one_line, parse_address
from pds.mail.message import Mail, make_message

SENDER = parse_address("noreply@pds.example.com")
HEADERS = ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted"]


def delivered(mail: Mail) -> EmailMessage:
    """The message as a mail program reads it."""
    message = make_message(mail, sender=SENDER)
    return message_from_bytes(bytes(message), _class=EmailMessage, policy=default)


@pytest.mark.parametrize(
    ("text", "name", "address"),
    [
        ("a@b.co", "", "a@b.co"),
        (" My PDS <a@b.co> ", "My PDS", "a@b.co"),
        ('"My, PDS" <a@b.co>', "My, PDS", "a@b.co"),
        ("<a+b.c'd@b.co>", "", "a+b.c'd@b.co"),
        ("a@bücher.example", "", "a@xn--bcher-kva.example"),
        ("jürgen@b.co", "", "jürgen@b.co"),
        ("PDS\r\nBcc: eve@x.y <a@b.co>", "PDS Bcc: eve@x.y", "a@b.co"),
    ],
)
def test_an_address_is_read_with_or_without_a_name(text: str, name: str, address: str) -> None:
    parsed = parse_address(text)
    assert (parsed.display_name, parsed.addr_spec) == (name, address)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "a",
            "@b.co",
            "a@",
            "a b@c.de",
            "a@b c",
            "a@b.co, c@d.de",
            "a@b.co;c@d.de",
            "a@@b.co",
        ),
        *(
            "a@b.co\nBcc: c@d.de",
            "a\r\n@b.co",
            "a@b\x00.co",
            "<a@b.co> c@d.de",
            "<a@b.co",
            "-f@b.co",
        ),
        *('"a b"@c.de', "a(x)@b.co", "a@[127.0.0.1]", "a@" + "b" * 300 + ".co", "a@..co"),
    ],
)
def test_what_is_not_one_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidMailAddress):
        parse_address(text)


@given(st.text(max_size=500))
def test_no_subject_adds_a_header(subject: str) -> None:
    message = delivered(Mail("a@b.co", subject, "text", "html"))
    assert [name for name in message if not name.startswith(("Content", "MIME"))] == HEADERS
    assert message["Subject"].split() == one_line(subject).split()


@given(st.text())
def test_no_text_leaves_its_part(text: str) -> None:
    message = delivered(Mail("a@b.co", "subject", text, text))
    parts = list(message.iter_parts())
    assert [part.get_content_type() for part in parts] == ["text/plain", "text/html"]
    assert message["To"] == "a@b.co"


def test_lines_are_short_and_ascii_whatever_is_written() -> None:
    message = make_message(Mail("a@b.co", "ü" * 400, "ü" * 5000, "<p>" * 5000), sender=SENDER)
    raw = bytes(message)
    assert raw.isascii()
    assert max(map(len, raw.split(b"\r\n"))) < 200
