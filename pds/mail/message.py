"""Mails as RFC 5322 messages, with both text and HTML, and headers safe from injection."""

from __future__ import annotations

from dataclasses import dataclass
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import localtime, make_msgid

from pds.config.mail_address import one_line, parse_address


class InvalidMail(ValueError):
    """A mail is invalid, so that no mail server could send it."""


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail to one address, as text and as HTML."""

    to: str
    subject: str
    text: str
    html: str


def make_message(mail: Mail, *, sender: Address) -> EmailMessage:
    """Build the message to pass to a mail server. Raises `InvalidMail`."""
    message = EmailMessage(policy=SMTP)
    try:
        message["From"] = sender
        message["To"] = parse_address(mail.to)
        message["Subject"] = one_line(mail.subject)
        message["Date"] = localtime()
        message["Message-ID"] = make_msgid(domain=sender.domain)
        # Suppresses automatic replies such as vacation notices (RFC 3834).
        message["Auto-Submitted"] = "auto-generated"
        # Every server accepts quoted-printable, whatever the line lengths and characters.
        message.set_content(mail.text, cte="quoted-printable")
        message.add_alternative(mail.html, subtype="html", cte="quoted-printable")
    except (MessageError, ValueError) as exc:
        raise InvalidMail(str(exc)) from exc
    return message
