"""Mails as messages of RFC 5322: text and HTML side by side, and headers nobody can add to."""

from __future__ import annotations

from dataclasses import dataclass
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import localtime, make_msgid

from pds.config.mail_address import one_line, parse_address


class InvalidMail(ValueError):
    """A mail cannot be sent as it is, whatever the mail server."""


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail to one address, in both forms."""

    to: str
    subject: str
    text: str
    html: str


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
