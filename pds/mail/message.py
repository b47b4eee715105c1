"""Mails as messages of RFC 5322: text and HTML side by side, and headers nobody can add to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import localtime, make_msgid
from typing import Final

from pds.mail.errors import InvalidMail

_FORM: Final = re.compile(r"(?P<name>[^<>]*)<(?P<spec>[^<>]+)>|(?P<plain>[^<>]+)")
_LOCAL: Final = re.compile(
    r"[^\s\x00-\x1f\x7f<>()\[\],;:\\\"@-][^\s\x00-\x1f\x7f<>()\[\],;:\\\"@]*"
)
_DOMAIN: Final = re.compile(r"[A-Za-z0-9.-]{1,253}")
_BREAKS: Final = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]+")


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail to one address, in both forms."""

    to: str
    subject: str
    text: str
    html: str


def parse_address(text: str) -> Address:
    """Read `name@host` or `Name <name@host>`. Raises `InvalidMail`.

    An international domain becomes what DNS has for it. Refused is what could be taken for more
    than one address, for a header, or for an option of a program.
    """
    form = _FORM.fullmatch(text.strip())
    name, spec = (form["name"] or "", form["spec"] or form["plain"]) if form else ("", "")
    local, _, host = spec.rpartition("@")
    try:
        domain = host.encode("idna").decode()
    except UnicodeError:
        domain = ""
    if not _LOCAL.fullmatch(local) or not _DOMAIN.fullmatch(domain):
        raise InvalidMail(f"not a mail address: {text!r}")
    return Address(one_line(name).strip('" '), local, domain)


def one_line(text: str) -> str:
    """Text without what ends a line or controls a terminal: one blank stands for each."""
    return _BREAKS.sub(" ", text).strip()


def make_message(mail: Mail, *, sender: Address) -> EmailMessage:
    """The message to hand to a mail server. Raises `InvalidMail`."""
    message = EmailMessage(policy=SMTP)
    try:
        message["From"] = sender
        message["To"] = parse_address(mail.to)
        message["Subject"] = one_line(mail.subject)
        message["Date"] = localtime()
        message["Message-ID"] = make_msgid(domain=sender.domain)
        # So that no holiday notice comes back (RFC 3834).
        message["Auto-Submitted"] = "auto-generated"
        # Quoted-printable passes every server, whatever the length of lines and the letters.
        message.set_content(mail.text, cte="quoted-printable")
        message.add_alternative(mail.html, subtype="html", cte="quoted-printable")
    except (MessageError, ValueError) as exc:
        raise InvalidMail(str(exc)) from exc
    return message
